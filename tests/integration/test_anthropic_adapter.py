"""`AnthropicAdapter` against real llama.cpp servers, which speak Anthropic's Messages at `/v1/messages`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airframe import (
    AnthropicAdapter,
    BackendError,
    EndpointSpec,
    ErrorCategory,
    FinishReason,
    HealthState,
    InferenceRequest,
    Message,
    StreamEventType,
    ToolSpec,
)
from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.tiny_model import REPLY
from airframe.types import ReasoningPart, TextPart

pytestmark = pytest.mark.anyio

THOUGHT = "Let me think about this first"
WEATHER = ToolSpec(
    name="get_weather",
    description="Weather now",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def adapter() -> AnthropicAdapter:
    """Local servers keep to the older version, which allows temperatures."""
    return AnthropicAdapter(version="2023-06-01")


def ask(text: str = "Hi", **options: Any) -> InferenceRequest:
    return replace(InferenceRequest(messages=[Message("user", text)], temperature=0.0, max_tokens=120), **options)


def endpoint(server: LlamaServerProcess, **options: Any) -> EndpointSpec:
    return EndpointSpec(base_url=server.base_url, backend_kind="anthropic", model="tiny", **options)


async def test_whole_answer(llama_server: LlamaServerProcess) -> None:
    """A whole answer has its thought, its text, its end and its tokens."""
    async with adapter() as anthropic:
        result = await anthropic.infer(endpoint(llama_server), ask())
    assert result.content == (ReasoningPart(text=THOUGHT, issuer="anthropic", signature=""), TextPart(REPLY))
    assert (result.finish_reason, result.raw_finish_reason) == (FinishReason.STOP, "end_turn")
    assert (result.usage.input_tokens, result.usage.output_tokens) == (22, 27)


async def test_streamed_answer(llama_server: LlamaServerProcess) -> None:
    """A stream, whose blocks the server closes late and together, says the same as the whole answer."""
    async with (
        adapter() as anthropic,
        anthropic.stream_infer(endpoint(llama_server), ask()) as stream,
    ):
        events = [event async for event in stream]
    assert "".join(event.text for event in events if event.type is StreamEventType.TOKEN) == REPLY
    assert "".join(event.text for event in events if event.type is StreamEventType.REASONING) == THOUGHT
    assert [event.type for event in events[-2:]] == [StreamEventType.MESSAGE, StreamEventType.DONE]
    assert stream.result.content == (ReasoningPart(text=THOUGHT, issuer="anthropic", signature=""), TextPart(REPLY))
    assert (stream.result.usage.input_tokens, stream.result.usage.output_tokens) == (22, 27)


async def test_tool_loop(llama_server: LlamaServerProcess) -> None:
    """A call comes in pieces, its result goes back, and the model answers."""
    async with adapter() as anthropic:
        request = ask(tools=[WEATHER])
        async with anthropic.stream_infer(endpoint(llama_server), request) as stream:
            deltas = [event async for event in stream if event.type is StreamEventType.TOOL_CALL_DELTA]
        (call,) = stream.result.tool_calls
        assert (call.name, call.parsed_arguments, call.complete) == ("get_weather", {"city": "Oslo"}, True)
        assert "".join(delta.arguments for delta in deltas) == call.arguments
        assert stream.result.finish_reason is FinishReason.TOOL_CALLS
        history = [*request.messages, stream.result.message, Message.tool(call.id, "rain")]
        answer = await anthropic.infer(endpoint(llama_server), replace(request, messages=history))
    assert answer.text == REPLY


async def test_a_thought_goes_back(llama_server: LlamaServerProcess) -> None:
    """The server takes its own unsigned thought back without complaint or warning."""
    async with adapter() as anthropic:
        first = await anthropic.infer(endpoint(llama_server), ask())
        history = [Message("system", "Be brief."), Message("user", "Hi"), first.message, Message("user", "Again")]
        second = await anthropic.infer(endpoint(llama_server), ask(messages=history))
    assert second.text == REPLY
    assert second.warnings == ()


async def test_how_an_answer_may_end(llama_server: LlamaServerProcess) -> None:
    """The limit and a stop text have their reasons; the stop text is kept."""
    async with adapter() as anthropic:
        cut = await anthropic.infer(endpoint(llama_server), ask(max_tokens=3))
        stopped = await anthropic.infer(endpoint(llama_server), ask(stop=["tiny"]))
    assert cut.finish_reason is FinishReason.LENGTH
    assert stopped.finish_reason is FinishReason.STOP
    assert stopped.text == REPLY.partition("tiny")[0]
    assert stopped.extra == {"stop_sequence": "tiny"}


async def test_counted_before_and_after(llama_server: LlamaServerProcess) -> None:
    """What the server counts beforehand is what the answer says was read."""
    async with adapter() as anthropic:
        counted = await anthropic.count_tokens(endpoint(llama_server), ask())
        answer = await anthropic.infer(endpoint(llama_server), ask())
    assert counted == answer.usage.input_tokens


async def test_a_prompt_that_is_too_long(llama_server: LlamaServerProcess) -> None:
    """The server's refusal is a matter of the context, whole or streamed."""
    async with adapter() as anthropic:
        with pytest.raises(BackendError) as whole:
            await anthropic.infer(endpoint(llama_server), ask("x" * 9000))
        with pytest.raises(BackendError) as streamed:
            async with anthropic.stream_infer(endpoint(llama_server), ask("x" * 9000)) as stream:
                await anext(stream)
    assert whole.value.category is streamed.value.category is ErrorCategory.CONTEXT_LENGTH


async def test_models_and_health(llama_server: LlamaServerProcess) -> None:
    """The server's list, in OpenAI's form, is read as well."""
    async with adapter() as anthropic:
        models = await anthropic.list_models(endpoint(llama_server))
        report = await anthropic.check_health(endpoint(llama_server))
    assert [model.owned_by for model in models] == ["llamacpp"]
    assert report.state is HealthState.HEALTHY


@pytest.mark.parametrize("auth", ["x-api-key", "bearer"])
async def test_both_ways_to_show_the_key(tiny_model: Path, llama_binary: Path | None, auth: Any) -> None:
    """A server with a key takes it in either header, and refuses who has none."""
    with LlamaServerProcess(tiny_model, binary=llama_binary, api_key="made-up") as server:
        async with AnthropicAdapter(version="2023-06-01", auth=auth) as anthropic:
            assert (await anthropic.infer(endpoint(server, api_key="made-up"), ask())).text == REPLY
            with pytest.raises(BackendError) as caught:
                await anthropic.infer(endpoint(server), ask())
    assert caught.value.category is ErrorCategory.AUTH
