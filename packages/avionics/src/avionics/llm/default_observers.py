"""Who watches the calls of a gateway that was told of nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from avionics.llm.content_filter import ContentFilter
from avionics.llm.records import CallObserver
from avionics.settings import Settings

__all__ = ["default_observers"]


def default_observers(settings: Settings, *, redact: Callable[[str], str] | None = None) -> Sequence[CallObserver]:
    """Telemetry, lines of the log and the call log, unless the settings switch them off.

    Where the settings name exporters of telemetry, and nobody has set up OpenTelemetry, that is done too: see
    `avionics.telemetry.setup`. `redact` says what is kept of a text, where the settings capture content; content on
    which it raises is left out.

    Raises `ConfigurationError` when the driver of the log's database, or the library of an exporter, is missing.
    """
    observers: list[CallObserver] = []
    if settings.telemetry.enabled:
        from avionics.telemetry import CallLogger, OpenTelemetryObserver, setup  # imports our records, so this package

        if settings.telemetry.exporters:
            setup(settings)
        observers += [OpenTelemetryObserver(settings=settings.telemetry, redact=redact), CallLogger()]
    if settings.call_log.enabled:
        from avionics.calls.call_log import CallLog  # the same

        limit = settings.call_log.content_limit
        observers.append(CallLog(settings, capture=ContentFilter(most_characters=limit, redact=redact)))
    return observers
