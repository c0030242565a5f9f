"""Whether this process has an SDK: for traces, metrics or logs."""

from __future__ import annotations

from opentelemetry import _logs, metrics, trace

__all__ = ["any_sdk", "foreign"]

_API = ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")


def foreign(provider: object) -> bool:
    """Whether a provider is somebody's, and not the API's own, which does nothing."""
    return not type(provider).__module__.startswith(_API)


def any_sdk() -> bool:
    """Whether anybody would hear of a call."""
    return (
        foreign(trace.get_tracer_provider())
        or foreign(metrics.get_meter_provider())
        or foreign(_logs.get_logger_provider())
    )
