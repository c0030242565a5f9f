"""`OpenAIResponsesAdapter` against real llama.cpp servers, which speak OpenAI's Responses at `/v1/responses`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from airframe import (
    BackendError,
    BackendKind,
    EndpointSpec,
    ErrorCategory,
    FinishReason,
    HealthState,
    InferenceRequest,
    Message,
    OpenAIResponsesAdapter,
    StreamEventType,
    ToolSpec,
)
from airframe.protocols import COMPATIBLE_RESPONSES
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


def adapter() -> OpenAIResponsesAdapter:
    return OpenAIResponsesAdapter(dialect=COMPATIBLE_RESPONSES)


def ask(text: str = "Hi", **options: Any) -> InferenceRequest:
    return replace(InferenceRequest(messages=[Message("user", text)], temperature=0.0, max_tokens=120), **options)


def endpoint(server: LlamaServerProcess) -> EndpointSpec:
    return EndpointSpec(base_url=server.base_url, backend_kind=BackendKind.OPENAI_RESPONSES, model="tiny")


async def test_whole_answer(llama_server: LlamaServerProcess) -> None:
    """A whole answer has its thought, its text, its end and its tokens."""
    async with adapter() as responses:
        result = await responses.infer(endpoint(llama_server), ask())
    thought, said = result.content
    assert isinstance(thought, ReasoningPart)
    assert isinstance(said, TextPart)
    assert (thought.text, thought.issuer, said.text) == (THOUGHT, "compatible_responses", REPLY)
    assert (result.finish_reason, result.raw_finish_reason) == (FinishReason.STOP, "completed")
    assert (result.usage.input_tokens, result.usage.output_tokens) == (22, 27)


async def test_streamed_answer(llama_server: LlamaServerProcess) -> None:
    """A stream, whose events the server neither numbers nor finishes in order, says the same as the whole answer."""
    async with adapter() as responses, responses.stream_infer(endpoint(llama_server), ask()) as stream:
        events = [event async for event in stream]
    said = [event.text for event in events if event.type is StreamEventType.TOKEN]
    thought = [event.text for event in events if event.type is StreamEventType.REASONING]
    assert len(said) > 5
    assert ("".join(said), "".join(thought)) == (REPLY, THOUGHT)
    assert (stream.result.text, stream.result.finish_reason) == (REPLY, FinishReason.STOP)
    assert stream.result.usage.output_tokens == 27
    assert stream.result.timings is not None


async def test_a_tool_is_called_and_answered(llama_server: LlamaServerProcess) -> None:
    """A call comes with its arguments, and the answer to it goes back over the same format."""
    where = endpoint(llama_server)
    async with adapter() as responses:
        async with responses.stream_infer(where, ask(tools=[WEATHER])) as stream:
            (call,) = [event.tool_call async for event in stream if event.type is StreamEventType.TOOL_CALL]
        assert (call.name, call.parsed_arguments) == ("get_weather", {"city": "Oslo"})
        assert stream.result.finish_reason is FinishReason.TOOL_CALLS
        again = [Message("user", "Hi"), stream.result.message, Message.tool(call.id, "4 degrees")]
        result = await responses.infer(where, ask(messages=again))
    assert result.text
    assert result.usage.input_tokens is not None
    assert result.usage.input_tokens > 22


async def test_a_conversation_with_a_thought_goes_on(llama_server: LlamaServerProcess) -> None:
    """An answer with its thought goes back in one piece, and the server takes it."""
    where = endpoint(llama_server)
    async with adapter() as responses:
        first = await responses.infer(where, ask())
        second = await responses.infer(
            where,
            ask(
                messages=[
                    Message("system", "Be brief."),
                    Message("user", "Hi"),
                    first.message,
                    Message("user", "Go on."),
                ]
            ),
        )
    assert second.text == REPLY
    assert second.warnings == ()


async def test_an_answer_that_was_cut(llama_server: LlamaServerProcess) -> None:
    """The server calls an answer complete that reached its limit; it is known to be cut all the same."""
    async with adapter() as responses:
        whole = await responses.infer(endpoint(llama_server), ask(max_tokens=9))
        async with responses.stream_infer(endpoint(llama_server), ask(max_tokens=9)) as stream:
            async for _ in stream:
                pass
    for result in (whole, stream.result):
        assert (result.text, result.finish_reason) == ("Hello from", FinishReason.LENGTH)
        assert result.raw_finish_reason == "completed"


async def test_too_long_a_question(llama_server: LlamaServerProcess) -> None:
    """A question beyond the context is refused as that, whole and streamed."""
    long = ask("word " * 4000)
    async with adapter() as responses:
        with pytest.raises(BackendError) as whole:
            await responses.infer(endpoint(llama_server), long)
        with pytest.raises(BackendError) as streamed:
            async for _ in responses.stream_infer(endpoint(llama_server), long):
                pass
    assert whole.value.category is ErrorCategory.CONTEXT_LENGTH
    assert streamed.value.category is ErrorCategory.CONTEXT_LENGTH


async def test_leaving_early_frees_the_server(loop_llama_server: LlamaServerProcess) -> None:
    """Who stops listening stops the model."""
    where = endpoint(loop_llama_server)
    async with adapter() as responses:
        async with responses.stream_infer(where, ask(max_tokens=2000)) as stream:
            async for event in stream:
                if event.type is StreamEventType.TOKEN:
                    break
        with anyio.fail_after(10):
            while await busy_slots(where):
                await anyio.lowlevel.checkpoint()


async def test_health_and_models(llama_server: LlamaServerProcess) -> None:
    """The server is found healthy, and its model is listed."""
    async with adapter() as responses:
        assert (await responses.check_health(endpoint(llama_server))).state is HealthState.HEALTHY
        assert await responses.list_models(endpoint(llama_server))


async def busy_slots(endpoint: EndpointSpec) -> int:
    """How many requests the server is working on, by its own account."""
    async with httpx.AsyncClient(trust_env=False) as client:
        slots: list[dict[str, Any]] = (await client.get(f"{endpoint.base_url}/slots")).json()
    return sum(bool(slot["is_processing"]) for slot in slots)
