"""`LlamaCppAdapter`: real llama.cpp in this process, on the tiny scripted model."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest

from airframe import (
    AirframeError,
    BackendError,
    CallTimeoutError,
    CapacityHints,
    ConfigurationError,
    EndpointSpec,
    ErrorCategory,
    FinishReason,
    HealthState,
    InferenceRequest,
    JSONSchemaFormat,
    LimitExceededError,
    Limits,
    LlamaCppAdapter,
    Message,
    StreamEventType,
    Timeouts,
    ToolSpec,
)
from airframe.testing.hostile.server import unused_port
from airframe.testing.tiny_model import REPLY, write_tiny_model
from airframe.types import ReasoningOptions

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed (extra llamacpp)")
pytestmark = pytest.mark.anyio

WEATHER = ToolSpec(
    name="get_weather",
    description="Weather now",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def ask(text: str = "Hi", **options: Any) -> InferenceRequest:
    plain = InferenceRequest(
        messages=[Message("user", text)], temperature=0.0, max_tokens=120, reasoning=ReasoningOptions(enabled=False)
    )
    return replace(plain, **options)


def model_endpoint(path: Path, **options: Any) -> EndpointSpec:
    return EndpointSpec(base_url=path.as_uri(), backend_kind="llama_cpp", **options)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> EndpointSpec:
    """The model that gives its one answer and stops."""
    folder = tmp_path_factory.mktemp("models of mine")  # spaces must survive the way into a URL and back
    return model_endpoint(write_tiny_model(folder / "tiny.gguf"))


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> EndpointSpec:
    """The model that talks until its context is full."""
    return model_endpoint(write_tiny_model(tmp_path_factory.mktemp("models") / "loop.gguf", loop=True))


@pytest.fixture
async def adapter() -> AsyncIterator[LlamaCppAdapter]:
    async with LlamaCppAdapter(threads=1, context_window=2048) as adapter:
        yield adapter


async def test_whole_answer(adapter: LlamaCppAdapter, tiny: EndpointSpec) -> None:
    """An answer has its text, its end, its tokens and llama.cpp's own timings, and one attempt."""
    result = await adapter.infer(tiny, ask())
    assert (result.text, result.reasoning, result.finish_reason) == (REPLY, "", FinishReason.STOP)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (21, 20)
    assert result.timings is not None
    assert result.model == "tiny"
    assert [attempt.category for attempt in result.attempts] == [None]
    assert result.warnings == ()


async def test_streamed_answer(adapter: LlamaCppAdapter, tiny: EndpointSpec) -> None:
    """A stream gives the words as they are made, with reasoning apart, then one message and one end."""
    async with adapter.stream_infer(tiny, ask(reasoning=ReasoningOptions(enabled=True))) as stream:
        events = [event async for event in stream]
    tokens = [event.text for event in events if event.type is StreamEventType.TOKEN]
    thoughts = [event.text for event in events if event.type is StreamEventType.REASONING]
    assert "".join(tokens) == REPLY
    assert "".join(thoughts) == "Let me think about this first"
    assert len(tokens) > 15
    assert [event.type.value for event in events[-2:]] == ["message", "done"]


async def test_tool_call_and_its_result(adapter: LlamaCppAdapter, tiny: EndpointSpec) -> None:
    """A tool is called with arguments that parse, and its result is answered with words."""
    request = ask("Weather in Oslo?", tools=[WEATHER])
    result = await adapter.infer(tiny, request)
    (call,) = result.tool_calls
    assert (call.name, call.parsed_arguments) == ("get_weather", {"city": "Oslo"})
    assert result.finish_reason is FinishReason.TOOL_CALLS
    history = [*request.messages, result.message, Message.tool(call.id, "Rain, 4 degrees")]
    assert (await adapter.infer(tiny, replace(request, messages=history))).text == REPLY


async def test_json_schema_is_kept(adapter: LlamaCppAdapter, tiny: EndpointSpec) -> None:
    """The model is bent to a JSON schema."""
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    result = await adapter.infer(tiny, ask(response_format=JSONSchemaFormat(schema=schema)))
    assert isinstance(json.loads(result.text)["count"], int)


@pytest.mark.parametrize(
    ("request_", "category", "words"),
    [
        (ask("x" * 9000), ErrorCategory.CONTEXT_LENGTH, "exceeds the available context"),
        (ask(extra_params={"messages": "Hi"}), ErrorCategory.INVALID_REQUEST, "messages"),
        (ask(extra_params={"grammar": "root ::= ("}), ErrorCategory.INVALID_REQUEST, "grammar"),
    ],
)
async def test_refused_requests(
    adapter: LlamaCppAdapter, tiny: EndpointSpec, request_: InferenceRequest, category: ErrorCategory, words: str
) -> None:
    """What llama.cpp refuses gets the category that its server's answer gets, and is not tried again."""
    with pytest.raises(BackendError, match=words) as caught:
        await adapter.infer(tiny, request_)
    assert caught.value.category is category
    assert caught.value.status == 400
    assert len(caught.value.attempts) == 1
    assert not caught.value.committed


async def test_the_event_loop_goes_on(adapter: LlamaCppAdapter, loop: EndpointSpec) -> None:
    """While the model speaks, other tasks of the event loop run."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(turn)
        await adapter.infer(loop, ask(max_tokens=200))
        group.cancel_scope.cancel()
    assert turns > 100


@pytest.mark.parametrize("leave", ["break", "close", "cancel"])
async def test_leaving_stops_the_model(loop: EndpointSpec, leave: str) -> None:
    """Leaving a stream that would fill the context stops the model after a few tokens, and frees its slot."""
    meter = Meter()
    async with LlamaCppAdapter(threads=1, max_retries=0, configure=meter.install) as adapter:
        stream = adapter.stream_infer(loop, ask(max_tokens=None))
        with anyio.CancelScope() as scope:
            async for _ in stream:
                if leave == "cancel":
                    scope.cancel()
                elif leave == "close":
                    await stream.aclose()
                else:
                    break
        if leave == "break":
            await stream.aclose()
        result = await adapter.infer(loop, ask(max_tokens=3))
        assert result.finish_reason is FinishReason.LENGTH
        assert await meter.decoded() < 1000


async def test_cancelling_a_whole_answer_stops_the_model(loop: EndpointSpec) -> None:
    """A whole answer is interruptible between tokens too."""
    meter = Meter()
    async with LlamaCppAdapter(threads=1, configure=meter.install) as adapter:
        await adapter.infer(loop, ask(max_tokens=1))
        async with anyio.create_task_group() as group:
            group.start_soon(adapter.infer, loop, ask(max_tokens=None))
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        await adapter.infer(loop, ask(max_tokens=1))
        assert await meter.decoded() < 1000


class Meter:
    """Opens the metrics of llama.cpp's own HTTP server."""

    def __init__(self) -> None:
        self.port = unused_port()

    def install(self, params: Any) -> None:
        params.port, params.api_keys, params.endpoint_metrics = self.port, ["for-this-test"], True

    async def decoded(self) -> int:
        """How many steps the model has made, by its own account. The full context would be 4096."""
        async with httpx.AsyncClient(trust_env=False, headers={"x-api-key": "for-this-test"}) as client:
            text = (await client.get(f"http://127.0.0.1:{self.port}/metrics")).raise_for_status().text
        found = re.search(r"^llamacpp:n_decode_total (\d+)$", text, re.MULTILINE)
        assert found is not None
        return int(found.group(1))


async def test_a_long_prompt_is_interruptible(loop: EndpointSpec) -> None:
    """Leaving while the prompt is read stops the reading: what was read so far is all that the cache holds."""
    long = ask("x" * 3900, max_tokens=1)
    async with LlamaCppAdapter(threads=1, configure=small_batches) as adapter:
        await adapter.infer(loop, ask(max_tokens=1))
        async with anyio.create_task_group() as group:
            group.start_soon(adapter.infer, loop, long)
            for _ in range(500):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        usage = (await adapter.infer(loop, long)).usage
    assert usage.input_tokens is not None
    assert usage.cache_read_tokens is not None
    assert 0 < usage.cache_read_tokens < usage.input_tokens // 2


def small_batches(params: Any) -> None:
    params.n_batch = params.n_ubatch = 32


async def test_more_calls_than_slots_wait_in_line(adapter: LlamaCppAdapter, tiny: EndpointSpec) -> None:
    """Calls beyond the slots are answered in their turn."""
    texts: list[str] = []

    async def call() -> None:
        texts.append((await adapter.infer(tiny, ask())).text)

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(call)
    assert texts == [REPLY] * 6


async def test_the_model_is_loaded_once(tiny: EndpointSpec) -> None:
    """All calls of an adapter share one model, also those that come while it is being loaded."""
    loaded: list[object] = []
    async with LlamaCppAdapter(threads=1, slots=2, configure=loaded.append) as adapter:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(adapter.infer, tiny, ask())
        assert len(loaded) == 1
        (model,) = await adapter.list_models(tiny)
        assert (model.id, model.loaded) == ("tiny", True)
    (model,) = await adapter.list_models(tiny)
    assert not model.loaded
    await adapter.infer(tiny, ask(max_tokens=1))
    assert len(loaded) == 2
    await adapter.aclose()


async def test_capacity_of_the_endpoint(tiny: EndpointSpec) -> None:
    """Slots and window are the endpoint's where the adapter names none."""
    seen: list[tuple[int, int]] = []

    def look(params: Any) -> None:
        seen.append((params.n_parallel, params.n_ctx))

    async with LlamaCppAdapter(threads=1, configure=look) as adapter:
        await adapter.infer(replace(tiny, capacity=CapacityHints(slots=2, context_window=512)), ask(max_tokens=1))
    assert seen == [(2, 1024)]


async def test_closing_ends_a_running_stream(loop: EndpointSpec) -> None:
    """A stream whose model is unloaded under it is cut, not ended: the error keeps what was said."""
    adapter = LlamaCppAdapter(threads=1, max_retries=0)
    stream = adapter.stream_infer(loop, ask(max_tokens=None))

    async def listen() -> None:
        async for event in stream:
            if event.type is StreamEventType.TOKEN and not closed:
                await adapter.aclose()
                closed.append(True)

    closed: list[bool] = []
    with pytest.raises(AirframeError) as caught:
        await listen()
    assert caught.value.category is ErrorCategory.PROTOCOL
    assert caught.value.committed
    assert caught.value.partial is not None
    assert caught.value.partial.text
    assert caught.value.partial.finish_reason is None


async def test_timeouts_hold(loop: EndpointSpec) -> None:
    """A model that talks too long is stopped by the deadline, and what it said is kept."""
    async with LlamaCppAdapter(threads=1, max_retries=0, context_window=65536) as adapter:
        await adapter.infer(loop, ask(max_tokens=1))
        hurried = replace(loop, timeouts=Timeouts(attempt=0.1))
        with pytest.raises(CallTimeoutError) as caught:
            await adapter.infer(hurried, ask(max_tokens=None))
        assert caught.value.timeout == "attempt"
        with anyio.fail_after(20):
            while working_threads():
                await anyio.lowlevel.checkpoint()


async def test_limits_hold(loop: EndpointSpec) -> None:
    """An answer beyond `Limits.body_bytes` is refused."""
    async with LlamaCppAdapter(threads=1, max_retries=0, limits=Limits(body_bytes=20_000)) as adapter:
        with pytest.raises(LimitExceededError) as caught:
            await adapter.infer(loop, ask(max_tokens=None))
    assert caught.value.limit == "body_bytes"


async def test_missing_file(adapter: LlamaCppAdapter, tmp_path: Path) -> None:
    """A file that is not there is found out before anything is loaded."""
    nowhere = model_endpoint(tmp_path / "nowhere.gguf")
    with pytest.raises(BackendError, match="nowhere") as caught:
        await adapter.infer(nowhere, ask())
    assert caught.value.category is ErrorCategory.NOT_FOUND
    assert (await adapter.check_health(nowhere)).state is HealthState.UNHEALTHY


async def test_file_that_is_no_model(adapter: LlamaCppAdapter, tmp_path: Path) -> None:
    """A file that llama.cpp cannot load is an error that is not tried again, and says how to see more."""
    path = tmp_path / "letter.gguf"
    path.write_text("Dear model,")
    with pytest.raises(BackendError, match="verbose=True") as caught:
        await adapter.infer(model_endpoint(path), ask())
    assert caught.value.category is ErrorCategory.SERVER
    assert len(caught.value.attempts) == 1


async def test_health(adapter: LlamaCppAdapter, tiny: EndpointSpec) -> None:
    """A probe loads nothing; it says whether the model is in memory."""
    assert (await adapter.check_health(tiny)).detail == "not loaded yet"
    await adapter.infer(tiny, ask(max_tokens=1))
    assert (await adapter.check_health(tiny)).detail == "loaded"


async def test_threads_share_the_adapter(adapter: LlamaCppAdapter, tiny: EndpointSpec) -> None:
    """Another event loop in another thread may use the same adapter and model."""
    assert (await adapter.infer(tiny, ask())).text == REPLY

    def elsewhere() -> str:
        return anyio.run(adapter.infer, tiny, ask()).text

    assert await anyio.to_thread.run_sync(elsewhere) == REPLY


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "file://host/tiny.gguf", "tiny.gguf", "file:///tiny.gguf?x"])
def test_endpoint_must_name_a_file(url: str) -> None:
    """A model in this process is named by the URL of its file, and the error says how to make one."""
    with pytest.raises(ConfigurationError, match=r"base_url .*as_uri"):
        EndpointSpec(base_url=url, backend_kind="llama_cpp")


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without xllamacpp the adapter cannot be made, and the error says what to install."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ConfigurationError, match=r"jeeves-airframe\[llamacpp\]"):
        LlamaCppAdapter()


@pytest.mark.parametrize("option", ["slots", "context_window", "threads"])
def test_options_must_be_positive(option: str) -> None:
    """Numbers that cannot work are refused with the name of the option."""
    options: dict[str, Any] = {option: 0}
    with pytest.raises(ConfigurationError, match=option):
        LlamaCppAdapter(**options)


def working_threads() -> list[threading.Thread]:
    """The threads in which llama.cpp works."""
    return [thread for thread in threading.enumerate() if thread.name == "llama.cpp"]
