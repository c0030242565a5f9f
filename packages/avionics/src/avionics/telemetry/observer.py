"""Calls as OpenTelemetry traces and metrics.

    chat gpt-5              the call, with all its retries and fallbacks
    ├── chat gpt-5          attempt 1: 429
    └── chat tiny           attempt 2: another deployment answers

Only the OpenTelemetry API is used here: without an SDK every line is a no-op, with one the application decides what is
sampled and where it goes. Nothing that was said by or to a model is recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from avionics._version import __version__
from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallStarted
from avionics.telemetry import attributes, semconv
from avionics.telemetry.metrics import ClassicMetrics

__all__ = ["OpenTelemetryObserver"]

_SCOPE = "avionics"
_NANOSECONDS = 1_000_000_000

_logger = logging.getLogger(__name__)


class OpenTelemetryObserver:
    """A `CallObserver` that makes one span for a call, one below it for each attempt, and metrics for each attempt.

    It never raises: what an SDK's processors raise is logged, the first time, and costs that span.

    Args:
        tracer_provider: where spans go; None is the process's, also when that is set later.
        meter_provider: where metrics go; None is the process's, also when that is set later.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider, semconv.SCHEMA_URL)
        self._metrics = ClassicMetrics(metrics.get_meter(_SCOPE, __version__, meter_provider, semconv.SCHEMA_URL))
        self._faults = _Faults()

    def call_started(self, call: CallStarted) -> CallObservation:
        """Start the span of a call, as a child of the caller's current span."""
        span: Span = trace.INVALID_SPAN
        with self._faults.contained():
            # Not made current: a stream suspends between events, and contexts must not stay attached across that.
            span = self._tracer.start_span(
                attributes.span_name(call.model),
                kind=SpanKind.CLIENT,
                attributes=attributes.call_target(call),
                start_time=call.started_at_ns,
            )
            if span.is_recording():
                span.set_attributes(attributes.call_request(call))
        return _CallObservation(self._tracer, self._metrics, self._faults, call, span)


class _CallObservation:
    def __init__(
        self, tracer: Tracer, instruments: ClassicMetrics, faults: _Faults, call: CallStarted, span: Span
    ) -> None:
        self._tracer = tracer
        self._metrics = instruments
        self._faults = faults
        self._call = call
        self._span = span
        self._context = trace.set_span_in_context(span)

    def attempt_finished(self, attempt: AttemptFinished) -> None:
        context = self._context
        with self._faults.contained():
            if self._span.is_recording():
                context = self._trace(attempt)
        with self._faults.contained():
            self._metrics.record(attempt, streamed=self._call.streamed, context=context)

    def call_finished(self, end: CallFinished) -> None:
        with self._faults.contained():
            try:
                if self._span.is_recording():
                    self._span.set_attributes(attributes.call_outcome(self._call, end))
                    _set_status(self._span, attributes.failure(end))
            finally:
                self._span.end(end_time=end.ended_at_ns)

    def _trace(self, attempt: AttemptFinished) -> Context:
        """Make the span of an attempt that is already over; returns the context that holds it."""
        span = self._tracer.start_span(
            attributes.span_name(attempt.model),
            context=self._context,
            kind=SpanKind.CLIENT,
            attributes=attributes.attempt_target(attempt),
            start_time=attempt.started_at_ns,
        )
        try:
            if span.is_recording():
                span.set_attributes(attributes.attempt_outcome(self._call, attempt))
                _set_status(span, attributes.failure(attempt))
        finally:
            span.end(end_time=attempt.started_at_ns + round(attempt.duration * _NANOSECONDS))
        return trace.set_span_in_context(span, self._context)


class _Faults:
    """Errors of an SDK, kept away from calls and logged once."""

    def __init__(self) -> None:
        self._logged = False

    @contextmanager
    def contained(self) -> Generator[None, None, None]:
        try:
            yield
        except Exception:
            if not self._logged:
                self._logged = True
                _logger.exception("OpenTelemetry failed; calls go on, and further failures are not logged")


def _set_status(span: Span, failure: str | None) -> None:
    if failure is not None:
        span.set_status(Status(StatusCode.ERROR, failure))
