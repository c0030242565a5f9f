"""`LlamaCppPythonAdapter`: the real llama-cpp-python in this process, on the tiny scripted model."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import anyio
import anyio.lowlevel
import pytest

from airframe import (
    AirframeError,
    BackendError,
    CallTimeoutError,
    ConfigurationError,
    EndpointSpec,
    ErrorCategory,
    FinishReason,
    HealthState,
    InferenceRequest,
    JSONSchemaFormat,
    LlamaCppPythonAdapter,
    Message,
    StreamEventType,
    Timeouts,
    ToolSpec,
)
from airframe.protocols.llama_cpp_python import TOOL_FORMAT
from airframe.testing.tiny_model import REPLY, write_tiny_model
from airframe.types import ImagePart, NamedTool, TextPart

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed (extra llama-cpp-python)")
pytestmark = pytest.mark.anyio

WEATHER = ToolSpec(
    name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)


def ask(text: str = "Hi", **options: Any) -> InferenceRequest:
    return replace(InferenceRequest(messages=[Message("user", text)], temperature=0.0, max_tokens=120), **options)


def model_endpoint(path: Path) -> EndpointSpec:
    return EndpointSpec(base_url=path.as_uri(), backend_kind="llama_cpp_python")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> EndpointSpec:
    """The model that gives its one answer and stops."""
    return model_endpoint(write_tiny_model(tmp_path_factory.mktemp("models of mine") / "tiny.gguf"))


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> EndpointSpec:
    """The model that talks until its context is full."""
    return model_endpoint(write_tiny_model(tmp_path_factory.mktemp("models") / "loop.gguf", loop=True))


@pytest.fixture
async def adapter() -> AsyncIterator[LlamaCppPythonAdapter]:
    async with LlamaCppPythonAdapter(threads=1, context_window=2048) as adapter:
        yield adapter


class Llama(Protocol):
    """What of the library's model these tests look at."""

    n_tokens: int


class Watch:
    """Has hold of the model that an adapter loads."""

    def __init__(self) -> None:
        self.loaded = 0

    def configure(self, arguments: dict[str, Any]) -> None:
        self.loaded += 1
        arguments["n_batch"] = 32


def loaded_llama(adapter: LlamaCppPythonAdapter) -> Llama:
    """The only model of the adapter; nothing public leads to it."""
    models: Any = adapter._models
    (engine,) = models._engines.values()
    return cast("Llama", engine._model._llama)


async def test_whole_answer(adapter: LlamaCppPythonAdapter, tiny: EndpointSpec) -> None:
    """An answer has its text, its end, the tokens that the library counts in whole answers, and one attempt."""
    result = await adapter.infer(tiny, ask())
    assert (result.text, result.finish_reason, result.model) == (REPLY, FinishReason.STOP, "tiny")
    assert (result.usage.input_tokens, result.usage.output_tokens) == (21, 19)
    assert [attempt.category for attempt in result.attempts] == [None]
    assert result.warnings == ()


async def test_streamed_answer(adapter: LlamaCppPythonAdapter, tiny: EndpointSpec) -> None:
    """A stream gives the words as they are made, then one message and one end."""
    async with adapter.stream_infer(tiny, ask()) as stream:
        events = [event async for event in stream]
    tokens = [event.text for event in events if event.type is StreamEventType.TOKEN]
    assert "".join(tokens) == REPLY
    assert len(tokens) > 15
    assert [event.type.value for event in events[-2:]] == ["message", "done"]


async def test_json_schema_is_kept(adapter: LlamaCppPythonAdapter, tiny: EndpointSpec) -> None:
    """The model is bent to a JSON schema."""
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    result = await adapter.infer(tiny, ask(response_format=JSONSchemaFormat(schema=schema)))
    assert json.loads(result.text) == {"count": 7}


async def test_grammar(adapter: LlamaCppPythonAdapter, tiny: EndpointSpec) -> None:
    """A grammar may be given as a text."""
    assert (await adapter.infer(tiny, ask(extra_params={"grammar": 'root ::= "yes"'}))).text == "yes"


@pytest.mark.parametrize("chat_format", [None, TOOL_FORMAT])
async def test_demanded_tool(tiny: EndpointSpec, chat_format: str | None) -> None:
    """A demanded tool is called with arguments that parse; cut arguments end by length."""
    async with LlamaCppPythonAdapter(threads=1, context_window=2048, chat_format=chat_format) as adapter:
        result = await adapter.infer(tiny, ask(tools=[WEATHER], tool_choice="required"))
        cut = await adapter.infer(tiny, ask(tools=[WEATHER], tool_choice="required", max_tokens=4))
    (call,) = result.tool_calls
    assert (call.name, call.parsed_arguments) == ("get_weather", {"city": "sample"})
    assert result.finish_reason is FinishReason.TOOL_CALLS
    assert cut.finish_reason is FinishReason.LENGTH


async def test_tools_that_the_model_may_choose(adapter: LlamaCppPythonAdapter, tiny: EndpointSpec) -> None:
    """With the model's own template a call stays text, and a warning says so."""
    result = await adapter.infer(tiny, ask(tools=[WEATHER]))
    assert result.text.startswith("<tool_call>")
    assert [warning.subject for warning in result.warnings] == ["tools"]


async def test_choosing_format_answers_a_stream(tiny: EndpointSpec) -> None:
    """The format that lets the model choose refuses streams; it is asked for the whole answer instead."""
    async with (
        LlamaCppPythonAdapter(threads=1, context_window=2048, chat_format=TOOL_FORMAT) as adapter,
        adapter.stream_infer(tiny, ask(tools=[WEATHER], max_tokens=None)) as stream,
    ):
        kinds = [event.type.value async for event in stream]
    assert kinds[-2:] == ["message", "done"]
    assert stream.result.finish_reason is not FinishReason.UNKNOWN
    assert stream.result.usage.output_tokens


async def test_log_probabilities(tiny: EndpointSpec) -> None:
    """Where the model was loaded for them, they come, and as plain numbers."""
    async with LlamaCppPythonAdapter(
        threads=1, configure=lambda arguments: arguments.update(logits_all=True)
    ) as adapter:
        result = await adapter.infer(tiny, ask(logprobs=True, max_tokens=2))
    logprobs: Any = result.logprobs
    assert [entry["token"] for entry in logprobs] == ["Hello", " from"]
    assert all(type(entry["logprob"]) is float for entry in logprobs)


async def test_chat_handler_gets_the_image(tiny: EndpointSpec) -> None:
    """A chat handler is asked instead of the model's template, with the image; what it does not count is unknown."""
    seen: list[Any] = []

    def describe(*, messages: Any, **_: Any) -> dict[str, Any]:
        seen.extend(part["type"] for part in messages[0]["content"])
        return {"choices": [{"index": 0, "message": {"content": "A cat."}, "finish_reason": "stop"}]}

    picture = Message("user", [TextPart("What is this?"), ImagePart(url="https://example.com/cat.png")])
    async with LlamaCppPythonAdapter(threads=1, context_window=512, chat_handler=describe) as adapter:
        result = await adapter.infer(tiny, ask(messages=[picture]))
    assert seen == ["text", "image_url"]
    assert (result.text, result.usage.output_tokens, result.warnings) == ("A cat.", None, ())


@pytest.mark.parametrize(
    ("request_", "category", "words"),
    [
        (ask("x" * 9000), ErrorCategory.CONTEXT_LENGTH, "exceed context window"),
        (ask(logprobs=True), ErrorCategory.UNSUPPORTED, "logits_all"),
        (ask(tools=[WEATHER], tool_choice=NamedTool("x")), ErrorCategory.INVALID_REQUEST, "'x' not found"),
        (ask(extra_params={"nonsense": 1}), ErrorCategory.INVALID_REQUEST, "'nonsense'"),
        (ask(extra_params={"grammar": "root ::= ("}), ErrorCategory.INVALID_REQUEST, "grammar"),
    ],
)
async def test_refused_requests(
    adapter: LlamaCppPythonAdapter, tiny: EndpointSpec, request_: InferenceRequest, category: ErrorCategory, words: str
) -> None:
    """What the library refuses has a category, is not tried again, and leaves the model well."""
    with pytest.raises(BackendError, match=words) as caught:
        await adapter.infer(tiny, request_)
    assert (caught.value.category, caught.value.status) == (category, 400)
    assert len(caught.value.attempts) == 1
    assert not caught.value.committed
    assert (await adapter.infer(tiny, ask())).text == REPLY


async def test_the_event_loop_goes_on(adapter: LlamaCppPythonAdapter, loop: EndpointSpec) -> None:
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
    """Leaving a stream that would fill the context stops the model after a few tokens, and its turn is over."""
    async with LlamaCppPythonAdapter(threads=1, max_retries=0) as adapter:
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
        await idle()
        assert loaded_llama(adapter).n_tokens < 1000
        assert (await adapter.infer(loop, ask(max_tokens=3))).finish_reason is FinishReason.LENGTH


async def test_a_long_prompt_is_interruptible(loop: EndpointSpec) -> None:
    """Leaving while the prompt is read stops the reading."""
    watch = Watch()
    async with LlamaCppPythonAdapter(threads=1, configure=watch.configure) as adapter:
        await adapter.infer(loop, ask(max_tokens=1))
        llama = loaded_llama(adapter)
        async with anyio.create_task_group() as group:
            group.start_soon(adapter.infer, loop, ask("x" * 3900, max_tokens=1))
            while llama.n_tokens < 100:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        await idle()
        assert llama.n_tokens < 2000


async def idle() -> None:
    """Wait until no model works."""
    with anyio.fail_after(20):
        while any(thread.name == "llama.cpp" for thread in threading.enumerate()):
            await anyio.lowlevel.checkpoint()


async def test_calls_wait_in_line_for_the_one_model(tiny: EndpointSpec) -> None:
    """All calls share one model, which is loaded once and answers them in their turn."""
    watch = Watch()
    texts: list[str] = []
    async with LlamaCppPythonAdapter(threads=1, configure=watch.configure) as adapter:

        async def call() -> None:
            texts.append((await adapter.infer(tiny, ask())).text)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call)
        assert texts == [REPLY] * 5
        assert watch.loaded == 1
        assert (await adapter.check_health(tiny)).detail == "loaded"
    assert (await adapter.check_health(tiny)).detail == "not loaded yet"


async def test_closing_ends_a_running_stream(loop: EndpointSpec) -> None:
    """A stream whose model is unloaded under it is cut, not ended: the error keeps what was said."""
    adapter = LlamaCppPythonAdapter(threads=1, max_retries=0)
    closed: list[bool] = []

    async def listen() -> None:
        async for event in adapter.stream_infer(loop, ask(max_tokens=None)):
            if event.type is StreamEventType.TOKEN and not closed:
                await adapter.aclose()
                closed.append(True)

    with pytest.raises(AirframeError) as caught:
        await listen()
    assert caught.value.category is ErrorCategory.PROTOCOL
    assert caught.value.committed
    assert caught.value.partial is not None
    assert caught.value.partial.text
    assert caught.value.partial.finish_reason is None


async def test_timeouts_hold(loop: EndpointSpec) -> None:
    """A model that talks too long is stopped by the deadline, and what it said is kept."""
    async with LlamaCppPythonAdapter(threads=1, max_retries=0) as adapter:
        await adapter.infer(loop, ask(max_tokens=1))
        with pytest.raises(CallTimeoutError) as caught:
            await adapter.infer(replace(loop, timeouts=Timeouts(attempt=0.1)), ask(max_tokens=None))
        assert caught.value.timeout == "attempt"
        await idle()


async def test_missing_and_broken_files(adapter: LlamaCppPythonAdapter, tmp_path: Path) -> None:
    """A file that is not there is not found; one that is no model is an error that is not tried again."""
    nowhere = model_endpoint(tmp_path / "nowhere.gguf")
    with pytest.raises(BackendError, match="nowhere") as caught:
        await adapter.infer(nowhere, ask())
    assert caught.value.category is ErrorCategory.NOT_FOUND
    assert (await adapter.check_health(nowhere)).state is HealthState.UNHEALTHY
    letter = tmp_path / "letter.gguf"
    letter.write_text("Dear model,")
    with pytest.raises(BackendError, match="verbose=True") as caught:
        await adapter.infer(model_endpoint(letter), ask())
    assert caught.value.category is ErrorCategory.SERVER
    assert len(caught.value.attempts) == 1


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without llama-cpp-python the adapter cannot be made, and the error says what to install."""
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(ConfigurationError, match=r"jeeves-airframe\[llama-cpp-python\]"):
        LlamaCppPythonAdapter()
