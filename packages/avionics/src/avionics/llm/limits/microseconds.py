"""Time as the counters have it: whole microseconds since 1970, which a double can hold, as Redis's scripts need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Clock", "microseconds", "seconds"]

Clock: TypeAlias = Callable[[], float]
"""Unix time, in seconds."""


def microseconds(time: float) -> int:
    """Whole microseconds of seconds."""
    return round(time * 1_000_000)


def seconds(time: int) -> float:
    """Seconds of microseconds."""
    return time / 1_000_000
