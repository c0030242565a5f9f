"""Telemetry to a collector, by OTLP over HTTP (extra `otlp`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from avionics.settings.telemetry import TelemetrySettings
from avionics.telemetry.sdk.destination import Destination

__all__ = ["otlp"]


def otlp(settings: TelemetrySettings) -> Destination:
    """The collector of the settings; without one, what the variables of OpenTelemetry say, or this machine."""
    headers = {name: value.get_secret_value() for name, value in settings.otlp_headers.items()} or None
    spans = OTLPSpanExporter(endpoint=_endpoint(settings, "traces"), headers=headers)
    events = OTLPLogExporter(endpoint=_endpoint(settings, "logs"), headers=headers)
    metrics = OTLPMetricExporter(endpoint=_endpoint(settings, "metrics"), headers=headers)
    return Destination(
        spans=spans,
        events=events,
        metrics=PeriodicExportingMetricReader(metrics),
        give_up=(
            spans.shutdown,
            events.shutdown,
            cast("Callable[[], None]", metrics.shutdown),
        ),
    )


def _endpoint(settings: TelemetrySettings, signal: str) -> str | None:
    return None if settings.otlp_endpoint is None else f"{settings.otlp_endpoint.rstrip('/')}/v1/{signal}"
