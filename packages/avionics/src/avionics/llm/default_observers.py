"""Who watches the calls of a gateway that was told of nobody."""

from __future__ import annotations

from collections.abc import Sequence

from avionics.llm.records import CallObserver
from avionics.settings import Settings

__all__ = ["default_observers"]


def default_observers(settings: Settings) -> Sequence[CallObserver]:
    """Telemetry, which does nothing without an SDK, and the call log, unless the settings switch it off.

    Raises `ConfigurationError` when the driver of the log's database is missing.
    """
    from avionics.calls.call_log import CallLog  # both import our records, and so this package
    from avionics.telemetry import OpenTelemetryObserver

    return [OpenTelemetryObserver(), *([CallLog(settings)] if settings.call_log.enabled else [])]
