"""The observer as a guest: in the application's trace, under its sampler, beside its processors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.util.types import Attributes
from typing_extensions import override

from airframe.types import FinishReason, InferenceRequest, Message
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.telemetry import OpenTelemetryObserver

START = 1_790_000_000_000_000_000
CALL = CallStarted(
    call_id="call-1",
    started_at_ns=START,
    provider="llamaserver",
    model="tiny",
    server_address="127.0.0.1",
    server_port=8080,
    request=InferenceRequest(messages=[Message("user", "Hi")]),
    agent_name=None,
    streamed=False,
)
ATTEMPT = AttemptFinished(
    number=1,
    reason="first",
    provider="llamaserver",
    model="tiny",
    server_address="127.0.0.1",
    server_port=8080,
    started_at_ns=START,
    duration=1.0,
    finish_reason=FinishReason.STOP,
)
END = CallFinished(ended_at_ns=START + 1_000_000_000, outcome="success", attempts=(ATTEMPT,))


class RecordingSampler(Sampler):
    """Decides as another sampler does, and keeps what it was shown."""

    def __init__(self, decides: Sampler) -> None:
        self._decides = decides
        self.seen: list[dict[str, object]] = []

    @override
    def should_sample(
        self,
        parent_context: context.Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        self.seen.append(dict(attributes or {}))
        return self._decides.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    @override
    def get_description(self) -> str:
        return "recording"


class FailingProcessor(SpanProcessor):
    """An application's mistake."""

    @override
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("the processor is broken")


class FailingTracers(trace.TracerProvider):
    """An SDK whose tracers make no span."""

    @override
    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return FailingTracer()


class FailingTracer(trace.NoOpTracer):
    """One of them."""

    @override
    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        raise RuntimeError("the tracer is broken")


def observe(tracers: trace.TracerProvider) -> None:
    """Tell an observer of two whole calls."""
    observer = OpenTelemetryObserver(tracers, NoOpMeterProvider())
    for _ in range(2):
        observation = observer.call_started(CALL)
        observation.attempt_finished(ATTEMPT)
        observation.call_finished(END)


def test_a_sampler_knows_where_a_call_goes() -> None:
    """What a sampler needs is there when the span is created."""
    sampler = RecordingSampler(ALWAYS_ON)
    observe(TracerProvider(sampler=sampler, shutdown_on_exit=False))
    assert sampler.seen[0] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "llama_cpp",
        "gen_ai.request.model": "tiny",
        "server.address": "127.0.0.1",
        "server.port": 8080,
        "avionics.call.id": "call-1",
    }


def test_a_call_that_is_not_sampled_has_no_attempts_to_sample() -> None:
    """Below a span that is not kept nothing is built, and no attempt becomes a trace of its own."""
    sampler = RecordingSampler(ALWAYS_OFF)
    observe(TracerProvider(sampler=sampler, shutdown_on_exit=False))
    assert ["avionics.attempt.number" in seen for seen in sampler.seen] == [False, False]


def test_the_call_lies_below_the_current_span_of_its_caller() -> None:
    """A call belongs to the trace of the application, and leaves the current span as it found it."""
    exporter, tracers = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    with tracers.get_tracer("application").start_as_current_span("request") as request:
        before = context.get_current()
        observation = OpenTelemetryObserver(tracers, NoOpMeterProvider()).call_started(CALL)
        assert context.get_current() is before
    observation.call_finished(END)
    assert {span.name: span.parent for span in exporter.get_finished_spans()} == {
        "request": None,
        "chat tiny": request.get_span_context(),
    }


def test_a_failing_processor_harms_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """What an application's span processor raises is logged once, and the calls go on."""
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(FailingProcessor())
    observe(tracers)
    assert [(record.name, record.levelname) for record in caplog.records] == [("avionics.telemetry.observer", "ERROR")]


def test_a_failing_tracer_harms_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """The same where not even the span can be made."""
    observe(FailingTracers())
    assert len(caplog.records) == 1


def test_without_an_sdk_nothing_happens() -> None:
    """The default observer takes a whole call when the application has set up no telemetry."""
    observation = OpenTelemetryObserver().call_started(CALL)
    observation.attempt_finished(ATTEMPT)
    observation.call_finished(END)
    assert not trace.get_current_span().get_span_context().is_valid
