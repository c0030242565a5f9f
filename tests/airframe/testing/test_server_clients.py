"""The fake server, asked by the vendors' own clients."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from openai.types.chat import ChatCompletionFunctionToolParam

from airframe import ErrorCategory, ToolCall, Usage
from airframe.testing import Answer, Failure, Step
from airframe.testing.server import FakeServer

USAGE = Usage(input_tokens=40, output_tokens=4, cache_read_tokens=30)
SAID = Answer(chunks=["It is ", "☔ raining", "."], reasoning="As always.", usage=USAGE)
CALL = ToolCall(id="call_1", name="get_weather", arguments='{"city":"Bodø"}')
CALLED = Answer(text="Let me look.", tool_calls=[CALL], usage=USAGE)
TURNS: list[MessageParam] = [{"role": "user", "content": "Weather?"}]
FUNCTION: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "strict": True, "parameters": {"type": "object"}},
}
TOOL: ToolParam = {"name": "get_weather", "input_schema": {"type": "object"}}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer([SAID, CALLED]) as running:
        yield running


def openai_at(server: FakeServer, *, max_retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="made-up", max_retries=max_retries)


def anthropic_at(server: FakeServer, *, max_retries: int = 0) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.base_url, api_key="made-up", max_retries=max_retries)


def test_openai_streams_chat_completions(server: FakeServer) -> None:
    """OpenAI's own accumulator makes the scripted answers of the stream."""
    with openai_at(server) as client:
        with client.chat.completions.stream(
            model="small", messages=[{"role": "user", "content": "Weather?"}], stream_options={"include_usage": True}
        ) as stream:
            pieces = [event.delta for event in stream if event.type == "content.delta" and event.delta]
            final = stream.get_final_completion()
        with client.chat.completions.stream(
            model="small", messages=[{"role": "user", "content": "Weather?"}], tools=[FUNCTION]
        ) as stream:
            called = stream.get_final_completion().choices[0]
    assert pieces == ["It is ", "☔ raining", "."]
    assert final.usage is not None
    assert (final.usage.prompt_tokens, final.usage.completion_tokens, final.usage.total_tokens) == (40, 4, 44)
    assert called.finish_reason == "tool_calls"
    assert called.message.tool_calls is not None
    function = called.message.tool_calls[0].function
    assert (function.name, function.arguments) == (CALL.name, CALL.arguments)


def test_openai_reads_whole_chat_completions(server: FakeServer) -> None:
    """OpenAI's client reads the answers that are not streamed."""
    with openai_at(server) as client:
        said, called = (
            client.chat.completions.create(model="small", messages=[{"role": "user", "content": "Weather?"}])
            for _ in range(2)
        )
        models = client.models.list().data
    assert said.choices[0].message.content == "It is ☔ raining."
    assert called.choices[0].message.tool_calls is not None
    assert called.choices[0].message.tool_calls[0].id == "call_1"
    assert [model.id for model in models] == ["scripted"]


def test_openai_streams_responses(server: FakeServer) -> None:
    """OpenAI's accumulator of Responses, which wants every event in its place, makes the scripted answers."""
    with openai_at(server) as client:
        with client.responses.stream(model="small", input="Weather?") as stream:
            pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
            said = stream.get_final_response()
        with client.responses.stream(model="small", input="Weather?") as stream:
            arguments = [event.arguments for event in stream if event.type == "response.function_call_arguments.done"]
            called = stream.get_final_response()
    assert pieces == ["It is ", "☔ raining", "."]
    assert said.output_text == "It is ☔ raining."
    assert [item.type for item in said.output] == ["reasoning", "message"]
    assert said.usage is not None
    assert (said.usage.input_tokens, said.usage.input_tokens_details.cached_tokens) == (40, 30)
    assert arguments == [CALL.arguments]
    assert [item.type for item in called.output] == ["message", "function_call"]


def test_openai_reads_whole_responses(server: FakeServer) -> None:
    """OpenAI's client reads the Responses that are not streamed."""
    with openai_at(server) as client:
        said, called = (client.responses.create(model="small", input="Weather?") for _ in range(2))
    assert said.output_text == "It is ☔ raining."
    assert called.output[-1].type == "function_call"


def test_anthropic_streams_messages(server: FakeServer) -> None:
    """Anthropic's own accumulator makes the scripted answers of the stream."""
    with anthropic_at(server) as client:
        with client.messages.stream(model="small", max_tokens=9, messages=TURNS) as stream:
            pieces = list(stream.text_stream)
            said = stream.get_final_message()
        with client.messages.stream(model="small", max_tokens=9, messages=TURNS, tools=[TOOL]) as stream:
            called = stream.get_final_message()
    assert pieces == ["It is ", "☔ raining", "."]
    assert [block.type for block in said.content] == ["thinking", "text"]
    assert (said.usage.input_tokens, said.usage.cache_read_input_tokens, said.usage.output_tokens) == (10, 30, 4)
    assert called.stop_reason == "tool_use"
    use = called.content[-1]
    assert use.type == "tool_use"
    assert (use.id, use.name, use.input) == ("call_1", "get_weather", {"city": "Bodø"})


def test_anthropic_reads_whole_messages(server: FakeServer) -> None:
    """Anthropic's client reads the answers that are not streamed."""
    with anthropic_at(server) as client:
        said, called = (client.messages.create(model="small", max_tokens=9, messages=TURNS) for _ in range(2))
    assert [block.type for block in said.content] == ["thinking", "text"]
    assert called.content[-1].type == "tool_use"


def test_clients_know_the_errors_again() -> None:
    """The clients raise the errors that they have for the scripted categories, and heed what the server wants."""
    script: list[Step] = [Failure(ErrorCategory.AUTH), Failure(ErrorCategory.RATE_LIMIT, retry_after=0.01), "Rain."]
    with FakeServer([*script, *script, Failure(ErrorCategory.OVERLOADED, chunks=["It"])]) as server:
        with openai_at(server, max_retries=1) as client:
            with pytest.raises(openai.AuthenticationError):
                client.responses.create(model="small", input="Weather?")
            assert client.responses.create(model="small", input="Weather?").output_text == "Rain."
        with anthropic_at(server, max_retries=1) as client:
            with pytest.raises(anthropic.AuthenticationError):
                client.messages.create(model="small", max_tokens=9, messages=TURNS)
            answer = client.messages.create(model="small", max_tokens=9, messages=TURNS)
            assert answer.content[0].type == "text"
            stream = client.messages.create(model="small", max_tokens=9, messages=TURNS, stream=True)
            with pytest.raises(anthropic.APIStatusError, match="overloaded"):
                list(stream)
