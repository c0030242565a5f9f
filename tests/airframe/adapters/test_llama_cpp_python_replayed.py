"""What llama-cpp-python was recorded to yield and to raise, replayed through the seam; it need not be installed."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from airframe import (
    AirframeError,
    BackendError,
    EndpointSpec,
    ErrorCategory,
    FinishReason,
    InferenceRequest,
    Message,
    StreamEventType,
)
from airframe._in_process import InProcessTransport, ModelOptions
from airframe._llama_cpp_python import LlamaModel, Meter
from airframe.adapters import HttpAdapter
from airframe.protocols import LlamaCppPythonProtocol
from airframe.testing.recorded import recorded_exception

pytestmark = pytest.mark.anyio

RECORDINGS = Path(__file__).parents[1] / "recordings" / "llama_cpp_python"
REPLY = "Hello from the tiny scripted model; it holds one short answer, so each run reads alike."
ASK = InferenceRequest(messages=[Message("user", "Hi")])


class RecordedLlama:
    """Yields what was recorded, and raises it."""

    meter: Meter

    def __init__(self, documents: Sequence[Mapping[str, Any]], tokens: tuple[int, int] = (0, 0)) -> None:
        self.pulled = 0
        self.ended = self.closed = False
        self._documents = documents
        self._tokens = tokens

    def create_chat_completion(self, **arguments: Any) -> Mapping[str, Any] | Iterator[Mapping[str, Any]]:
        self.arguments = arguments
        first = self._documents[0]
        return first if first.get("object") == "chat.completion" else self._chunks()

    def close(self) -> None:
        self.closed = True

    def _chunks(self) -> Generator[Mapping[str, Any]]:
        try:
            for document in self._documents:
                if exception := document.get("exception"):
                    raise recorded_exception(exception)
                self.pulled += 1
                yield document
            self.meter.input_tokens, self.meter.output_tokens = self._tokens
        finally:
            self.ended = True


def recorded(name: str) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in (RECORDINGS / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def endpoint(tmp_path: Path) -> EndpointSpec:
    path = tmp_path / "tiny.gguf"
    path.touch()
    return EndpointSpec(base_url=path.as_uri(), backend_kind="llama_cpp_python")


class ReplayingAdapter(HttpAdapter):
    """The wire format and the seam of `LlamaCppPythonAdapter`, over a model that needs no library."""

    kind = "llama_cpp_python"


@asynccontextmanager
async def replaying(llama: RecordedLlama) -> AsyncGenerator[ReplayingAdapter]:
    models = InProcessTransport(lambda path, _: LlamaModel(llama, name=path.stem), lambda _: ModelOptions())
    async with ReplayingAdapter(LlamaCppPythonProtocol(), transport=models) as adapter:
        yield adapter
    await models.aclose()


async def test_streamed_answer(endpoint: EndpointSpec) -> None:
    """Chunks become events: the words one by one, one message with the counted tokens, and the end."""
    llama = RecordedLlama(recorded("chat.ndjson"), tokens=(21, 19))
    async with replaying(llama) as adapter, adapter.stream_infer(endpoint, ASK) as stream:
        events = [event async for event in stream]
    tokens = [event.text for event in events if event.type is StreamEventType.TOKEN]
    assert "".join(tokens) == REPLY
    assert len(tokens) > 15
    assert [event.type.value for event in events[-2:]] == ["message", "done"]
    assert stream.result.finish_reason is FinishReason.STOP
    assert (stream.result.usage.input_tokens, stream.result.usage.output_tokens) == (21, 19)
    assert llama.arguments == {"messages": [{"role": "user", "content": "Hi"}], "stream": True, "model": "tiny"}


async def test_what_was_not_counted_is_unknown(endpoint: EndpointSpec) -> None:
    """A chat handler that makes tokens in its own way leaves the usage unknown, not zero."""
    async with (
        replaying(RecordedLlama(recorded("cut.ndjson"))) as adapter,
        adapter.stream_infer(endpoint, ASK) as stream,
    ):
        async for _ in stream:
            pass
    assert stream.result.finish_reason is FinishReason.LENGTH
    assert (stream.result.usage.input_tokens, stream.result.usage.output_tokens) == (None, None)


@pytest.mark.parametrize(
    ("recording", "arguments", "finish_reason"),
    [
        ("tool.ndjson", {"city": "sample"}, FinishReason.TOOL_CALLS),
        ("tool_cut.ndjson", None, FinishReason.LENGTH),
    ],
)
async def test_forced_call(
    endpoint: EndpointSpec, recording: str, arguments: Mapping[str, str] | None, finish_reason: FinishReason
) -> None:
    """A call is put together from its pieces; one that was cut finishes by its length, whatever the library says."""
    async with replaying(RecordedLlama(recorded(recording))) as adapter, adapter.stream_infer(endpoint, ASK) as stream:
        async for _ in stream:
            pass
    (call,) = stream.result.tool_calls
    assert (call.name, call.parsed_arguments) == ("get_weather", arguments)
    assert (stream.result.finish_reason, stream.result.raw_finish_reason) == (finish_reason, "tool_calls")


async def test_answer_that_cannot_be_streamed(endpoint: EndpointSpec) -> None:
    """What the library gives whole arrives as a stream all the same."""
    (whole,) = recorded("tool_whole.json")
    async with replaying(RecordedLlama([whole])) as adapter, adapter.stream_infer(endpoint, ASK) as stream:
        kinds = [event.type.value async for event in stream]
    assert kinds[-3:] == ["tool_call", "message", "done"]
    (call,) = stream.result.tool_calls
    assert call.parsed_arguments == {"city": "sample"}
    assert stream.result.usage.output_tokens == whole["usage"]["completion_tokens"]


class NumpyFloat:
    """As numpy.float32: a number, but none that JSON knows."""

    def item(self) -> float:
        return -0.25


async def test_numbers_of_numpy_are_plain_numbers(endpoint: EndpointSpec) -> None:
    """Log probabilities arrive as numbers of numpy, and leave as Python's own."""
    chunks = json.loads(json.dumps(recorded("logprobs.ndjson")))
    (first,) = chunks[1]["choices"][0]["logprobs"]["content"]
    first["logprob"] = NumpyFloat()
    async with replaying(RecordedLlama(chunks)) as adapter, adapter.stream_infer(endpoint, ASK) as stream:
        async for _ in stream:
            pass
    logprobs: Any = stream.result.logprobs
    assert [entry["token"] for entry in logprobs] == ["Hello", " from"]
    assert logprobs[0]["logprob"] == -0.25


@pytest.mark.parametrize(
    ("recording", "category"),
    [("overflow.ndjson", ErrorCategory.CONTEXT_LENGTH), ("no_logits.ndjson", ErrorCategory.UNSUPPORTED)],
)
async def test_exception_before_the_first_chunk(
    endpoint: EndpointSpec, recording: str, category: ErrorCategory
) -> None:
    """What is raised at the first `next` is a refusal, which is not tried again."""
    async with replaying(RecordedLlama(recorded(recording))) as adapter:
        with pytest.raises(BackendError) as caught:
            async for _ in adapter.stream_infer(endpoint, ASK):
                pass
    assert (caught.value.category, caught.value.status, caught.value.code) == (category, 400, "ValueError")
    assert len(caught.value.attempts) == 1
    assert not caught.value.committed


async def test_exception_after_the_first_chunks(endpoint: EndpointSpec) -> None:
    """What is raised in the middle of an answer keeps what was said before, and is not tried again."""
    failure = {"exception": {"type": "RuntimeError", "message": "llama_decode returned -3"}}
    llama = RecordedLlama([*recorded("chat.ndjson")[:4], failure])
    async with replaying(llama) as adapter:
        with pytest.raises(BackendError, match="llama_decode returned -3") as caught:
            async for _ in adapter.stream_infer(endpoint, ASK):
                pass
    assert caught.value.category is ErrorCategory.SERVER
    assert caught.value.committed
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hello from the"
    assert caught.value.partial.finish_reason is None


async def test_iterator_that_ends_early(endpoint: EndpointSpec) -> None:
    """Chunks that end without a finish reason are a broken answer, not a short one."""
    async with replaying(RecordedLlama(recorded("chat.ndjson")[:4])) as adapter:
        with pytest.raises(AirframeError) as caught:
            async for _ in adapter.stream_infer(endpoint, ASK):
                pass
    assert caught.value.category is ErrorCategory.PROTOCOL


async def test_leaving_closes_the_iterator(endpoint: EndpointSpec) -> None:
    """Who leaves stops the pulling, the library's generator is closed, and then the model."""
    endless = recorded("chat.ndjson")[:2] * 1_000_000
    llama = RecordedLlama(endless)
    async with replaying(llama) as adapter, adapter.stream_infer(endpoint, ASK) as stream:
        async for _ in stream:
            break
    assert llama.ended
    assert llama.closed
    assert llama.pulled < len(endless)
