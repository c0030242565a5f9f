"""`LlamaServerAdapter` against real llama.cpp servers, in both of its ways of speaking."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import httpx
import pytest

from airframe import (
    AirframeError,
    BackendError,
    ConnectionFailedError,
    EndpointSpec,
    ErrorCategory,
    FinishReason,
    HealthState,
    InferenceRequest,
    JSONSchemaFormat,
    LlamaServerAdapter,
    Message,
    RetryPolicy,
    StreamEventType,
    ToolSpec,
)
from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.tiny_model import REPLY
from airframe.types import InferenceResult, ReasoningOptions

pytestmark = pytest.mark.anyio

ApiType = Literal["openai", "native"]
BOTH_APIS = pytest.mark.parametrize("api_type", ["openai", "native"])


def ask(text: str = "Hi", **options: Any) -> InferenceRequest:
    plain = InferenceRequest(
        messages=[Message("user", text)], temperature=0.0, max_tokens=120, reasoning=ReasoningOptions(enabled=False)
    )
    return replace(plain, **options)


async def busy_slots(endpoint: EndpointSpec) -> int:
    """How many requests the server is working on, by its own account."""
    async with httpx.AsyncClient(trust_env=False) as client:
        slots: list[dict[str, Any]] = (await client.get(f"{endpoint.base_url}/slots")).json()
    return sum(bool(slot["is_processing"]) for slot in slots)


async def wait_for_idle(endpoint: EndpointSpec) -> None:
    with anyio.fail_after(10):
        while await busy_slots(endpoint):
            await anyio.lowlevel.checkpoint()


@BOTH_APIS
async def test_whole_answer(llama_server: LlamaServerProcess, api_type: ApiType) -> None:
    """A whole answer has its text, its end, its tokens and the server's own timings."""
    async with LlamaServerAdapter(api_type=api_type) as adapter:
        result = await adapter.infer(EndpointSpec(base_url=llama_server.base_url), ask())
    assert result.text == REPLY
    assert result.finish_reason is FinishReason.STOP
    assert (result.usage.input_tokens, result.usage.output_tokens) == (21, 20)
    assert result.timings is not None
    assert result.timings["predicted_n"] == 20
    assert [attempt.category for attempt in result.attempts] == [None]


@BOTH_APIS
async def test_streamed_answer(llama_server: LlamaServerProcess, api_type: ApiType) -> None:
    """A stream gives the words as they are made, then one message and one end, and counts like a whole answer."""
    async with (
        LlamaServerAdapter(api_type=api_type) as adapter,
        adapter.stream_infer(EndpointSpec(base_url=llama_server.base_url), ask()) as stream,
    ):
        events = [event async for event in stream]
    tokens = [event.text for event in events if event.type is StreamEventType.TOKEN]
    assert "".join(tokens) == REPLY
    assert len(tokens) > 15
    assert [event.type.value for event in events[len(tokens) :]] == ["message", "done"]
    assert (stream.result.usage.input_tokens, stream.result.usage.output_tokens) == (21, 20)


@BOTH_APIS
async def test_plain_iteration_needs_no_context_manager(llama_server: LlamaServerProcess, api_type: ApiType) -> None:
    """`async for` over a stream works by itself, and a `break` leaves nothing behind."""
    endpoint = EndpointSpec(base_url=llama_server.base_url)
    async with LlamaServerAdapter(api_type=api_type) as adapter:
        async for event in adapter.stream_infer(endpoint, ask()):
            assert event.type is StreamEventType.TOKEN
            break
        await wait_for_idle(endpoint)
        assert (await adapter.infer(endpoint, ask())).text == REPLY


@BOTH_APIS
@pytest.mark.parametrize("stream", [False, True])
async def test_json_schema_is_kept(llama_server: LlamaServerProcess, api_type: ApiType, stream: bool) -> None:
    """The server bends the answer to a JSON schema."""
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["name", "count"],
    }
    request = ask(response_format=JSONSchemaFormat(schema=schema))
    endpoint = EndpointSpec(base_url=llama_server.base_url)
    result: InferenceResult
    async with LlamaServerAdapter(api_type=api_type) as adapter:
        if stream:
            async with adapter.stream_infer(endpoint, request) as events:
                async for _ in events:
                    pass
            result = events.result
        else:
            result = await adapter.infer(endpoint, request)
    document = json.loads(result.text)
    assert isinstance(document["name"], str)
    assert isinstance(document["count"], int)


@BOTH_APIS
async def test_max_tokens_ends_by_length(llama_server: LlamaServerProcess, api_type: ApiType) -> None:
    """An answer that was cut by `max_tokens` says so."""
    async with LlamaServerAdapter(api_type=api_type) as adapter:
        result = await adapter.infer(EndpointSpec(base_url=llama_server.base_url), ask(max_tokens=3))
    assert result.finish_reason is FinishReason.LENGTH
    assert result.usage.output_tokens == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_tool_call_and_its_result(llama_server: LlamaServerProcess, stream: bool) -> None:
    """A tool is called once, with arguments that parse, and its result is answered with words."""
    tool = ToolSpec(
        name="get_weather",
        description="Weather now",
        parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    )
    request = ask("Weather in Oslo?", tools=[tool])
    endpoint = EndpointSpec(base_url=llama_server.base_url)
    async with LlamaServerAdapter() as adapter:
        if stream:
            async with adapter.stream_infer(endpoint, request) as events:
                kinds = [event.type async for event in events]
            assert kinds.count(StreamEventType.TOOL_CALL) == 1
            result = events.result
        else:
            result = await adapter.infer(endpoint, request)
        assert result.finish_reason is FinishReason.TOOL_CALLS
        (call,) = result.tool_calls
        assert (call.name, call.parsed_arguments) == ("get_weather", {"city": "Oslo"})
        history = [*request.messages, result.message, Message.tool(call.id, "Rain, 4 degrees")]
        answer = await adapter.infer(endpoint, replace(request, messages=history))
    assert answer.text == REPLY


async def test_reasoning_is_kept_apart(llama_server: LlamaServerProcess) -> None:
    """What the model thinks is not mixed with what it says."""
    async with LlamaServerAdapter() as adapter:
        result = await adapter.infer(
            EndpointSpec(base_url=llama_server.base_url), ask(reasoning=ReasoningOptions(enabled=True))
        )
    assert result.reasoning == "Let me think about this first"
    assert result.text == REPLY


@BOTH_APIS
async def test_cancel_frees_the_slot(loop_llama_server: LlamaServerProcess, api_type: ApiType) -> None:
    """Leaving a stream that would never end stops the server's work at once."""
    endpoint = EndpointSpec(base_url=loop_llama_server.base_url)
    async with LlamaServerAdapter(api_type=api_type) as adapter:
        async with adapter.stream_infer(endpoint, ask(max_tokens=None)) as stream:
            with anyio.CancelScope() as scope:
                async for event in stream:
                    if event.type is StreamEventType.TOKEN:
                        assert await busy_slots(endpoint) == 1
                        scope.cancel()
        assert scope.cancelled_caught
        await wait_for_idle(endpoint)


@BOTH_APIS
async def test_more_calls_than_slots_wait_in_line(llama_server: LlamaServerProcess, api_type: ApiType) -> None:
    """A busy llama-server lets further calls wait; all are answered."""
    endpoint = EndpointSpec(base_url=llama_server.base_url, max_connections=3)
    texts: list[str] = []

    async def call() -> None:
        texts.append((await adapter.infer(endpoint, ask())).text)

    async with LlamaServerAdapter(api_type=api_type) as adapter, anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(call)
    assert texts == [REPLY] * 8


@BOTH_APIS
async def test_context_overflow(llama_server: LlamaServerProcess, api_type: ApiType) -> None:
    """A prompt that does not fit is told apart from other refusals, and is not tried again."""
    async with LlamaServerAdapter(api_type=api_type) as adapter:
        with pytest.raises(BackendError, match="exceed") as caught:
            await adapter.infer(EndpointSpec(base_url=llama_server.base_url), ask("x" * 9000))
    assert caught.value.category is ErrorCategory.CONTEXT_LENGTH
    assert len(caught.value.attempts) == 1


async def test_unknown_model_is_answered_by_the_loaded_one(llama_server: LlamaServerProcess) -> None:
    """In single-model mode llama-server ignores the name; the result tells who really answered."""
    async with LlamaServerAdapter() as adapter:
        result = await adapter.infer(EndpointSpec(base_url=llama_server.base_url), ask(model="no-such-model"))
    assert result.model is not None
    assert result.model.endswith("tiny.gguf")


async def test_health_and_models(llama_server: LlamaServerProcess) -> None:
    """The probe finds it healthy, and the model list has the context window of a slot."""
    endpoint = EndpointSpec(base_url=llama_server.base_url)
    async with LlamaServerAdapter() as adapter:
        report = await adapter.check_health(endpoint)
        (model,) = await adapter.list_models(endpoint)
    assert report.state is HealthState.HEALTHY
    assert model.id.endswith("tiny.gguf")
    assert model.context_window == 2048
    assert model.loaded


async def test_wrong_port() -> None:
    """Nobody there: a connection error before anything was sent, and a health report that says so."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = EndpointSpec(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        async with LlamaServerAdapter(retry=RetryPolicy(max_retries=2, backoff=0.0)) as adapter:
            with pytest.raises(ConnectionFailedError) as caught:
                await adapter.infer(endpoint, ask())
            report = await adapter.check_health(endpoint)
    assert caught.value.category is ErrorCategory.CONNECTION
    assert caught.value.phase == "before_send"
    assert len(caught.value.attempts) == 3
    assert report.state is HealthState.UNREACHABLE


async def test_key_is_needed_and_never_shown(tiny_model: Path, llama_binary: Path | None) -> None:
    """With a wrong key the server refuses; the error names the category, not the key."""
    with LlamaServerProcess(tiny_model, binary=llama_binary, api_key="the-right-key-4711") as server:
        async with LlamaServerAdapter() as adapter:
            wrong = EndpointSpec(base_url=server.base_url, api_key="the-wrong-key-0815")
            with pytest.raises(BackendError) as caught:
                await adapter.infer(wrong, ask())
            right = EndpointSpec(base_url=server.base_url, api_key="the-right-key-4711")
            assert (await adapter.infer(right, ask())).text == REPLY
    assert caught.value.category is ErrorCategory.AUTH
    assert "0815" not in f"{caught.value!r} {caught.value.body} {wrong!r}"


async def test_server_killed_in_mid_stream(loop_model: Path, llama_binary: Path | None) -> None:
    """When the server dies while it speaks, the error carries what was said, and nothing invents an end."""
    with LlamaServerProcess(loop_model, binary=llama_binary) as server:
        async with LlamaServerAdapter() as adapter:
            stream = adapter.stream_infer(EndpointSpec(base_url=server.base_url), ask(max_tokens=None))
            heard: list[str] = []

            async def listen() -> None:
                async for event in stream:
                    if event.type is StreamEventType.TOKEN:
                        heard.append(event.text)
                        server.kill()

            with pytest.raises(AirframeError) as caught:
                await listen()
    error = caught.value
    assert error.category in {ErrorCategory.CONNECTION, ErrorCategory.PROTOCOL}
    assert error.committed
    assert error.partial is not None
    assert error.partial.text == "".join(heard)
    assert error.partial.finish_reason is None


async def test_loading_server_is_waited_for(tiny_model: Path, llama_binary: Path | None) -> None:
    """Calls that reach a server before its model is loaded are answered once it is."""
    with LlamaServerProcess(tiny_model, binary=llama_binary, wait_until_loaded=False) as server:
        patient = RetryPolicy(max_retries=200, backoff=0.02, max_backoff=0.05, budget=None)
        async with LlamaServerAdapter(retry=patient) as adapter:
            result = await adapter.infer(EndpointSpec(base_url=server.base_url), ask())
    assert result.text == REPLY
