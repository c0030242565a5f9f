"""Metrics for Prometheus to fetch, at `/metrics` (extra `prometheus`)."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import start_http_server
from typing_extensions import override

from avionics.settings.telemetry import TelemetrySettings
from avionics.telemetry.sdk.destination import Destination

__all__ = ["prometheus"]

_logger = logging.getLogger(__name__)


def prometheus(settings: TelemetrySettings) -> Destination:
    """A server on the port of the settings. A port that is taken is logged: calls are worth more than metrics."""
    host, port = settings.prometheus_host, settings.prometheus_port
    try:
        return Destination(metrics=_ServedMetrics(host, port))
    except OSError as error:
        _logger.error(  # noqa: TRY400 - the system's word says it all
            "metrics are not served at %s:%d (telemetry.prometheus_port): %s", host, port, error.strerror
        )
        return Destination()


class _ServedMetrics(PrometheusMetricReader):
    """A reader with the server that it is read through."""

    def __init__(self, host: str, port: int) -> None:
        self._server, self._thread = start_http_server(port, host)
        super().__init__()
        _logger.info("metrics are at http://%s:%d/metrics", host, self._server.server_port)

    @override
    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        super().shutdown(timeout_millis)  # pyright: ignore[reportUnknownMemberType]
