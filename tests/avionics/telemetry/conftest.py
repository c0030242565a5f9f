"""An SDK whose spans, metrics and events stay in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from avionics.telemetry import OpenTelemetryObserver


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """The spans that have ended: of a call its attempts come first."""
    return InMemorySpanExporter()


@pytest.fixture
def metrics() -> InMemoryMetricReader:
    """The metrics."""
    return InMemoryMetricReader()


@pytest.fixture
def events() -> InMemoryLogRecordExporter:
    """The events."""
    make = cast("Callable[[], InMemoryLogRecordExporter]", InMemoryLogRecordExporter)  # it has no types
    return make()


@pytest.fixture
def observer_with(
    spans: InMemorySpanExporter, metrics: InMemoryMetricReader, events: InMemoryLogRecordExporter
) -> Callable[..., OpenTelemetryObserver]:
    """Makes an observer with the given `settings` and `redact`, whom the three fixtures above listen to."""
    tracers, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(events))
    return partial(OpenTelemetryObserver, tracers, MeterProvider([metrics], shutdown_on_exit=False), loggers)
