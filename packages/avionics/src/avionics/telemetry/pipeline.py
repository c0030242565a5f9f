"""Where telemetry goes: `setup` starts OpenTelemetry's SDK as the settings say."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from opentelemetry import _logs, metrics, trace

from avionics.settings import Settings, get_settings
from avionics.telemetry.observer import OpenTelemetryObserver
from avionics.telemetry.signals import foreign

if TYPE_CHECKING:
    from avionics.telemetry.sdk.providers import Providers

__all__ = ["Telemetry", "setup"]

_logger = logging.getLogger(__name__)


class Telemetry:
    """What `setup` started. `shutdown` exports the rest; the end of the process does it, too."""

    def __init__(self, settings: Settings, providers: Providers | None) -> None:
        self._settings = settings.telemetry
        self._providers = providers
        self._lock = Lock()
        if providers is not None:
            atexit.register(self.shutdown)

    def observer(self, *, redact: Callable[[str], str] | None = None) -> OpenTelemetryObserver:
        """An observer for gateways, whose calls go where these settings say.

        `redact` says what is told of a text, where the settings tell content; content on which it raises is left out.
        """
        ours = self._providers
        if ours is None:
            return OpenTelemetryObserver(settings=self._settings, redact=redact)
        return OpenTelemetryObserver(ours.tracers, ours.meters, ours.loggers, settings=self._settings, redact=redact)

    def flush(self) -> None:
        """Export what there is, and wait for it: as long as the exporters' own timeouts allow."""
        if self._providers is not None:
            self._providers.flush()

    def shutdown(self) -> None:
        """Export what there is, as long as the settings allow, and stop: calls go on, and nothing is told of them.

        Does nothing the second time.
        """
        with self._lock:
            providers, self._providers = self._providers, None
        if providers is not None:
            atexit.unregister(self.shutdown)
            providers.shutdown()


def setup(settings: Settings | None = None, *, for_process: bool = True) -> Telemetry:
    """Start the SDK with the exporters of the settings; `for_process`, also for all other libraries.

    It is for programs: a library leaves it to the program that it is a part of. Where the program has set up an SDK,
    that one is used by way of the API, nothing is started, and a line in the log says so. The same holds for a second
    call, because OpenTelemetry can be set up once in the life of a process; with `for_process=False` there may be any
    number, and only the observers of what is returned lead to it.

    Args:
        settings: None is `get_settings()`.
        for_process: whether the providers become those of the process.

    Raises `ConfigurationError` for an exporter whose library is not installed.
    """
    settings = settings or get_settings()
    if not settings.telemetry.enabled:
        return Telemetry(settings, None)
    if for_process and (taken := _taken()):
        _logger.info("OpenTelemetry is set up already (%s): it is used as it is, and telemetry.exporters is not", taken)
        return Telemetry(settings, None)
    from avionics.telemetry.sdk.providers import providers

    ours = providers(settings.telemetry)
    if for_process:
        trace.set_tracer_provider(ours.tracers)
        metrics.set_meter_provider(ours.meters)
        _logs.set_logger_provider(ours.loggers)
    return Telemetry(settings, ours)


def _taken() -> str:
    """The classes of the providers that somebody has set."""
    present = (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider())
    return ", ".join(f"{type(one).__module__}.{type(one).__qualname__}" for one in present if foreign(one))
