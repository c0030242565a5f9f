"""Calls as OpenTelemetry traces, metrics and events.

    chat gpt-5              the call, with all its retries and fallbacks
    ├── chat gpt-5          attempt 1: 429
    └── chat tiny           attempt 2: another deployment answers

Only the OpenTelemetry API is used here: without an SDK nothing is built, with one the application decides what is
sampled and where it goes. Nothing that was said by or to a model is told, unless the settings ask for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType

from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import LoggerProvider
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from avionics._version import __version__
from avionics.llm.content_filter import ContentFilter
from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallStarted
from avionics.settings.telemetry import TelemetrySettings
from avionics.telemetry import attributes, events, semconv
from avionics.telemetry.content import CapturedContent
from avionics.telemetry.metrics import AttemptMetrics
from avionics.telemetry.otel_variables import content_capture, details_events, semconv_profile
from avionics.telemetry.signals import any_sdk
from avionics.telemetry.usage import usage_names

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
        logger_provider: where events go; None is the process's, also when that is set later.
        settings: in which words, and whether with content; its exporters are for `setup`.
        redact: what is told of a text, where content is told. Content on which it raises is left out.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        *,
        settings: TelemetrySettings | None = None,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        settings = settings or TelemetrySettings()
        given = (tracer_provider, meter_provider, logger_provider)
        self._heard = any(provider is not None for provider in given)
        self._means = _Means(*given, settings, redact)

    def call_started(self, call: CallStarted) -> CallObservation:
        """Start the span of a call, as a child of the caller's current span."""
        if not self._heard:
            with self._means.contained:
                self._heard = any_sdk()
        return _CallObservation(self._means, call) if self._heard else _NOBODY


class _Means:
    """What the observations of one observer share."""

    def __init__(
        self,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        logger_provider: LoggerProvider | None,
        settings: TelemetrySettings,
        redact: Callable[[str], str] | None,
    ) -> None:
        profile = semconv_profile(settings)
        capture = content_capture(settings)
        schema = None if profile == "latest" else semconv.SCHEMA_URL
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider, schema)
        self.tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider, schema)
        self.logger = _logs.get_logger(_SCOPE, __version__, logger_provider, schema)
        self.metrics = AttemptMetrics(meter, profile, agent=settings.agent_on_metrics)
        self.usage_names = usage_names(profile)
        self.exceptions_on_spans = profile != "latest"
        self.details = details_events(capture)
        self.content = CapturedContent(capture, ContentFilter(most_characters=settings.content_limit, redact=redact))
        self.contained = _Faults()


class _CallObservation:
    def __init__(self, means: _Means, call: CallStarted) -> None:
        self._means = means
        self._call = call
        self._target = attributes.call_target(call)
        self._span: Span = trace.INVALID_SPAN
        with means.contained:
            # Not made current: a stream suspends between events, and contexts must not stay attached across that.
            self._span = means.tracer.start_span(
                attributes.span_name(call.model),
                kind=SpanKind.CLIENT,
                attributes=self._target,
                start_time=call.started_at_ns,
            )
        self._context = trace.set_span_in_context(self._span)

    def attempt_finished(self, attempt: AttemptFinished) -> None:
        context = self._context
        with self._means.contained:
            if self._span.is_recording():
                context = self._trace(attempt)
        with self._means.contained:
            self._means.metrics.record(self._call, attempt, context)

    def call_finished(self, end: CallFinished) -> None:
        means, span = self._means, self._span
        with means.contained:
            try:
                if span.is_recording() or means.details:
                    self._tell(end)
            finally:
                span.end(end_time=end.ended_at_ns)
        with means.contained:
            if exception := events.exception_facts(end, means.content.error_text(end)):
                events.emit_exception(means.logger, end, self._target | exception, self._context)

    def _tell(self, end: CallFinished) -> None:
        """All that is known of the call, on its span and in its event."""
        means, span = self._means, self._span
        facts = attributes.call_request(self._call) | attributes.call_outcome(self._call, end, means.usage_names)
        content = means.content.of(self._call, end)
        if span.is_recording():
            span.set_attributes(facts | means.content.for_span(content))
            _set_status(span, attributes.failure(end))
            if means.exceptions_on_spans and (exception := events.exception_facts(end)):
                events.add_exception(span, end, exception)
        if means.details:
            events.emit_details(
                means.logger, end, self._target | facts, means.content.for_event(content), self._context
            )

    def _trace(self, attempt: AttemptFinished) -> Context:
        """Make the span of an attempt that is already over; returns the context that holds it."""
        means = self._means
        facts = attributes.attempt_target(attempt)
        facts |= attributes.attempt_outcome(self._call, attempt, means.usage_names)
        span = means.tracer.start_span(
            attributes.span_name(attempt.model),
            context=self._context,
            kind=SpanKind.CLIENT,
            attributes=facts,
            start_time=attempt.started_at_ns,
        )
        try:
            _set_status(span, attributes.failure(attempt))
        finally:
            span.end(end_time=attempt.started_at_ns + round(attempt.duration * _NANOSECONDS))
        return trace.set_span_in_context(span, self._context)


class _Nobody:
    """The observation of a call that nobody hears of."""

    def attempt_finished(self, attempt: AttemptFinished) -> None:
        """Nothing is told."""

    def call_finished(self, end: CallFinished) -> None:
        """The same."""


_NOBODY = _Nobody()


class _Faults:
    """A context manager that keeps errors of an SDK away from calls, and logs the first one."""

    def __init__(self) -> None:
        self._logged = False

    def __enter__(self) -> None:
        """Nothing is held, so it may be entered from everywhere at once."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        if not self._logged:
            self._logged = True
            _logger.error("OpenTelemetry failed; calls go on, and further failures are not logged", exc_info=error)
        return True


def _set_status(span: Span, failure: str | None) -> None:
    if failure is not None:
        span.set_status(Status(StatusCode.ERROR, failure))
