"""Where telemetry goes, as the parts of the SDK that take it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["Destination"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """What takes spans, events and metrics somewhere; None takes them nowhere."""

    spans: SpanExporter | None = None
    events: LogRecordExporter | None = None
    metrics: MetricReader | None = None
    give_up: Sequence[Callable[[], None]] = ()
    """What ends exports that are under way, and lets no further ones begin."""
