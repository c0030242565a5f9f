"""Telemetry as lines of JSON, in a file or on standard error: `{"span": ...}`, `{"event": ...}`, `{"metrics": ...}`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import override

from avionics.settings.telemetry import TelemetrySettings
from avionics.telemetry.sdk.destination import Destination

__all__ = ["console", "jsonl"]

_logger = logging.getLogger(__name__)


def jsonl(settings: TelemetrySettings) -> Destination:
    """The file of the settings, which is made readable for its owner alone: there may be content in it."""
    return _destination(_Lines(lambda text: _append(settings.jsonl_file, text), str(settings.jsonl_file)))


def console(settings: TelemetrySettings) -> Destination:  # noqa: ARG001 - as all destinations are made
    """Standard error."""
    return _destination(_Lines(_show, "standard error"))


def _destination(lines: _Lines) -> Destination:
    return Destination(
        spans=_Spans(lines), events=_Events(lines), metrics=PeriodicExportingMetricReader(_Metrics(lines))
    )


def _append(path: Path, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(file, "a", encoding="utf-8") as stream:
        stream.write(text)


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


class _Lines:
    """A place for lines, which several threads write to. Says the first time that it cannot be written."""

    def __init__(self, write: Callable[[str], None], name: str) -> None:
        self._write = write
        self._name = name
        self._lock = Lock()
        self._failed = False

    def add(self, what: str, documents: Iterable[str]) -> bool:
        """Write a line for each document; whether that succeeded."""
        text = "".join(f'{{"{what}": {document.strip()}}}\n' for document in documents)
        with self._lock:
            try:
                self._write(text)
            except (OSError, ValueError) as error:  # ValueError: standard error is closed
                if not self._failed:
                    self._failed = True
                    _logger.error("telemetry cannot be written to %s: %s", self._name, error)  # noqa: TRY400
                return False
        return True


class _Spans(SpanExporter):
    def __init__(self, lines: _Lines) -> None:
        self._lines = lines

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        written = self._lines.add("span", (span.to_json(indent=None) for span in spans))
        return SpanExportResult.SUCCESS if written else SpanExportResult.FAILURE


class _Events(LogRecordExporter):
    def __init__(self, lines: _Lines) -> None:
        self._lines = lines

    @override
    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        written = self._lines.add("event", (record.to_json(indent=None) for record in batch))
        return LogRecordExportResult.SUCCESS if written else LogRecordExportResult.FAILURE

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    @override
    def shutdown(self) -> None:
        """Nothing is held open."""


class _Metrics(MetricExporter):
    def __init__(self, lines: _Lines) -> None:
        super().__init__()
        self._lines = lines

    @override
    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        written = self._lines.add("metrics", (metrics_data.to_json(indent=None),))
        return MetricExportResult.SUCCESS if written else MetricExportResult.FAILURE

    @override
    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    @override
    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Nothing is held open."""
