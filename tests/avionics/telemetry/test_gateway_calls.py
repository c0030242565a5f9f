"""Calls through a gateway, as its observer makes them spans: each ends exactly once, whichever way the call ends."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from airframe.errors import BackendError, ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.types import Attempt, Usage
from avionics.errors import LLMError
from avionics.llm import LLMGateway, LLMResponse, MockProvider
from avionics.settings import Settings
from avionics.telemetry import OpenTelemetryObserver

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[LLMResponse]]

USAGE = Usage(input_tokens=1000, output_tokens=10)
WHOLE = Answer(chunks=["The ", "sky ", "is blue."], usage=USAGE)


class TracedGateway(LLMGateway):
    """Answers from scripts, and keeps the spans of its calls."""

    def __init__(self, *, settings: Settings | None = None, **scripts: Sequence[Step]) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        first, *others = scripts
        super().__init__(
            settings or Settings(llm_provider=first),
            others,
            observers=[OpenTelemetryObserver(self.tracers, NoOpMeterProvider())],
            providers={
                name: MockProvider(script, name=name, default_model="gpt-4.1-mini") for name, script in scripts.items()
            },
        )

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The attempts, then the call."""
        return self._exporter.get_finished_spans()


def facts(span: ReadableSpan) -> Mapping[str, object]:
    return span.attributes or {}


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_is_one_attempt_below_one_call(streamed: bool) -> None:
    """Both spans end without an error, and only those of a stream say when its first chunk came."""
    gateway = TracedGateway(openai=[WHOLE])
    if streamed:
        async with gateway.complete_stream("What is above?") as stream:
            assert "".join([chunk.text async for chunk in stream]) == "The sky is blue."
    else:
        await gateway.complete("What is above?", conversation_id="c-1", tenant="acme")
        assert facts(gateway.spans[-1])["gen_ai.conversation.id"] == "c-1"
        assert facts(gateway.spans[-1])["avionics.tenant"] == "acme"
    attempt, call = gateway.spans
    assert (attempt.parent, call.parent) == (call.context, None)
    for span in (attempt, call):
        assert span.status.status_code is StatusCode.UNSET
        assert facts(span)["gen_ai.response.finish_reasons"] == ("stop",)
        assert ("gen_ai.response.time_to_first_chunk" in facts(span)) is streamed


async def test_retries_of_one_endpoint_are_attempts() -> None:
    """What airframe tried before it gave up has spans of its own, with the times that it had."""
    error = BackendError("busy", category=ErrorCategory.OVERLOADED, status=503, code="busy")
    busy = Attempt(number=1, started_at=1_790_000_000.0, duration=0.5, category=ErrorCategory.OVERLOADED, status=503)
    error.attempts = [busy, busy]
    gateway = TracedGateway(llamaserver=[Failure(error)], openai=[WHOLE])
    await gateway.complete("What is above?")
    first, second, answered, call = gateway.spans
    assert [facts(span).get("avionics.attempt.reason") for span in (first, second, answered)] == [
        None,
        "retry",
        "fallback",
    ]
    assert [span.parent for span in (first, second, answered)] == [call.context] * 3
    assert (first.start_time, first.end_time) == (1_790_000_000_000_000_000, 1_790_000_000_500_000_000)
    assert facts(first)["http.response.status_code"] == 503


async def test_an_error_before_the_first_event_ends_all_spans(ask: Ask) -> None:
    """Where nobody answers, the call is an error, and so is each attempt; no answer is told of."""
    failure = Failure(ErrorCategory.OVERLOADED)
    gateway = TracedGateway(llamaserver=[failure], openai=[failure])
    with pytest.raises(LLMError):
        await ask(gateway)
    assert len(gateway.spans) == 3
    for span in gateway.spans:
        assert span.end_time
        assert span.status.status_code is StatusCode.ERROR
        assert facts(span)["error.type"] == "overloaded"
        assert "gen_ai.response.finish_reasons" not in facts(span)


async def test_the_spans_of_a_fallback_tell_what_it_cost() -> None:
    """The attempt that failed, the one that answered, and the call with the usage and the cost of both."""
    gateway = TracedGateway(llamaserver=[Failure(ErrorCategory.OVERLOADED)], openai=[WHOLE])
    await gateway.complete("What is above?")
    failed, answered, call = gateway.spans
    assert [span.parent for span in gateway.spans] == [call.context, call.context, None]
    assert [span.status.status_code for span in gateway.spans] == [StatusCode.ERROR, StatusCode.UNSET, StatusCode.UNSET]
    assert facts(failed)["error.type"] == "overloaded"
    assert facts(answered)["avionics.attempt.reason"] == "fallback"
    for span in (answered, call):
        assert facts(span)["gen_ai.usage.input_tokens"] == 1000
        assert facts(span)["gen_ai.usage.cost.amount"] == 0.000416  # 0.40 and 1.60 USD for a million tokens


async def test_an_answer_from_the_cache_is_a_call_without_attempts(ask: Ask) -> None:
    """The second call asks nobody: one span, no tokens, and what it saved."""
    settings = Settings(llm_provider="openai", cache={"backend": "memory", "all": True})
    async with TracedGateway(settings=settings, openai=[WHOLE]) as gateway:
        await ask(gateway)
        await ask(gateway)
    _, miss, hit = gateway.spans
    assert (facts(miss)["avionics.cache.result"], facts(hit)["avionics.cache.result"]) == ("miss", "hit")
    assert facts(hit)["avionics.cache.saved"] == facts(miss)["gen_ai.usage.cost.amount"] == 0.000416
    assert facts(hit)["gen_ai.usage.cost.amount"] == 0
    assert facts(hit)["gen_ai.response.finish_reasons"] == ("stop",)
    assert not [name for name in facts(hit) if name.endswith("_tokens")]
    assert hit.status.status_code is StatusCode.UNSET


async def test_a_stream_that_breaks_is_an_error_with_an_unfinished_answer() -> None:
    """After its first piece a stream fails as it is: no fallback, and the finish reason `error`."""
    gateway = TracedGateway(llamaserver=[Failure(ErrorCategory.CONNECTION, chunks=["The "])], openai=[WHOLE])
    with pytest.raises(LLMError):
        async for _ in gateway.complete_stream("What is above?"):
            pass
    attempt, call = gateway.spans
    for span in (attempt, call):
        assert span.status.status_code is StatusCode.ERROR
        assert facts(span)["error.type"] == "connection"
        assert facts(span)["gen_ai.response.finish_reasons"] == ("error",)
        assert "gen_ai.usage.input_tokens" not in facts(span)
        assert facts(span)["avionics.usage.source"] == "estimated"


async def test_a_cancelled_stream_ends_its_spans() -> None:
    """A deadline of the caller is `cancelled`, and no error of the backend."""
    gateway = TracedGateway(llamaserver=[WHOLE])
    with anyio.CancelScope() as scope:
        async for _ in gateway.complete_stream("What is above?"):
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()  # the event loop ends what nobody closed
    assert_left(gateway, "cancelled", "abandoned")


async def test_a_stream_that_is_closed_early_ends_its_spans() -> None:
    """Leaving the context before the end is the caller's right."""
    gateway = TracedGateway(llamaserver=[WHOLE])
    async with gateway.complete_stream("What is above?") as stream:
        await anext(stream)
    assert_left(gateway, "abandoned")


async def test_a_stream_that_is_dropped_ends_its_spans() -> None:
    """`break` without closing is noticed when the stream is collected."""
    gateway = TracedGateway(llamaserver=[WHOLE])
    async for _ in gateway.complete_stream("What is above?"):
        break
    gc.collect()
    await anyio.wait_all_tasks_blocked()  # the event loop ends what nobody closed
    assert_left(gateway, "abandoned")


async def test_no_context_is_held_while_a_stream_waits() -> None:
    """Between two pieces the caller's current span is the caller's, and calls made there are not below the stream's."""
    gateway = TracedGateway(llamaserver=[WHOLE])
    with gateway.tracers.get_tracer("application").start_as_current_span("request") as request:
        async for _ in gateway.complete_stream("What is above?"):
            assert trace.get_current_span() is request
        assert trace.get_current_span() is request
    _, call, _ = gateway.spans
    assert call.parent == request.get_span_context()


def assert_left(gateway: TracedGateway, *outcomes: str) -> None:
    attempt, call = gateway.spans
    assert facts(call)["avionics.call.outcome"] in outcomes
    for span in (attempt, call):
        assert span.end_time
        assert span.status.status_code is StatusCode.UNSET
        assert facts(span)["error.type"] == "cancelled"
        assert facts(span)["gen_ai.response.finish_reasons"] == ("error",)
