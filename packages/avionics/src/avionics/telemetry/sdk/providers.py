"""Providers of traces, metrics and logs that export to the places of the settings, in batches and in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import cast

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from avionics.errors import MissingPackageError
from avionics.settings.telemetry import Exporter, TelemetrySettings
from avionics.telemetry.sdk.destination import Destination
from avionics.telemetry.sdk.patience import Patience

__all__ = ["Providers", "providers"]

_logger = logging.getLogger(__name__)

_MODULES: Mapping[Exporter, str] = MappingProxyType(
    {"otlp": "otlp", "console": "json_lines", "jsonl": "json_lines", "prometheus": "prometheus"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """One of each kind."""

    tracers: TracerProvider
    meters: MeterProvider
    loggers: LoggerProvider
    patience: Patience

    def flush(self) -> None:
        """Export what there is; waits for it."""
        self._each("flushed", lambda provider: provider.force_flush())

    def shutdown(self) -> None:
        """The same, as long as patience lasts, and end the threads. Nothing is taken afterwards."""
        with self.patience:
            self._each("shut down", lambda provider: provider.shutdown())

    def _each(self, what: str, action: Callable[[TracerProvider | MeterProvider | LoggerProvider], object]) -> None:
        """One that fails does not keep the others."""
        for provider in (self.tracers, self.meters, self.loggers):
            try:
                action(provider)
            except Exception:
                _logger.exception("OpenTelemetry's %s could not be %s", type(provider).__name__, what)


def providers(settings: TelemetrySettings) -> Providers:
    """New ones. Raises `MissingPackageError` for an exporter whose library is not installed."""
    destinations = [_destination(name, settings) for name in dict.fromkeys(settings.exporters)]
    resource = _resource(settings)
    return Providers(
        tracers=_tracers(resource, destinations),
        meters=MeterProvider(
            [destination.metrics for destination in destinations if destination.metrics],
            resource,
            shutdown_on_exit=False,
        ),
        loggers=_loggers(resource, destinations),
        patience=Patience(
            settings.shutdown_timeout, [give_up for destination in destinations for give_up in destination.give_up]
        ),
    )


def _destination(name: Exporter, settings: TelemetrySettings) -> Destination:
    try:
        module = import_module(f"avionics.telemetry.sdk.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"telemetry.exporters names {name}, for which {error.name} is not installed: "
            f"pip install 'jeeves-avionics[{name}]'"
        ) from error
    make = cast("Callable[[TelemetrySettings], Destination]", getattr(module, name))
    return make(settings)


def _resource(settings: TelemetrySettings) -> Resource:
    """What OpenTelemetry's own variables say of the service, else the settings' name for it."""
    named = SERVICE_NAME in OTELResourceDetector().detect().attributes
    return Resource.create() if named else Resource.create({SERVICE_NAME: settings.service_name})


def _tracers(resource: Resource, destinations: Sequence[Destination]) -> TracerProvider:
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    for destination in destinations:
        if destination.spans:
            tracers.add_span_processor(BatchSpanProcessor(destination.spans))
    return tracers


def _loggers(resource: Resource, destinations: Sequence[Destination]) -> LoggerProvider:
    loggers = LoggerProvider(resource, shutdown_on_exit=False)
    for destination in destinations:
        if destination.events:
            loggers.add_log_record_processor(BatchLogRecordProcessor(destination.events))
    return loggers
