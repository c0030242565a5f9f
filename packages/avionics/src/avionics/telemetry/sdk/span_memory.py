"""Spans that stay in this process, for programs that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import StatusCode

__all__ = ["FinishedSpan", "SpanMemory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedSpan:
    """A span that has ended. Times are Unix nanoseconds; `error` is the status description of a span in error."""

    name: str
    span_id: int
    parent_id: int | None
    started_at_ns: int
    ended_at_ns: int
    attributes: Mapping[str, object]
    error: str | None

    @property
    def duration(self) -> float:
        """In seconds."""
        return (self.ended_at_ns - self.started_at_ns) / 1_000_000_000


class SpanMemory:
    """A tracer provider of its own, whose spans stay in this process until they are taken."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def take(self) -> Sequence[FinishedSpan]:
        """The spans that ended since the last time, in the order in which they began."""
        spans = self._exporter.get_finished_spans()
        self._exporter.clear()
        finished = [
            FinishedSpan(
                name=span.name,
                span_id=span.context.span_id,
                parent_id=span.parent.span_id if span.parent else None,
                started_at_ns=span.start_time or 0,
                ended_at_ns=span.end_time or 0,
                attributes=dict(span.attributes or {}),
                error=(span.status.description or "") if span.status.status_code is StatusCode.ERROR else None,
            )
            for span in spans
            if span.context
        ]
        return sorted(finished, key=lambda span: span.started_at_ns)
