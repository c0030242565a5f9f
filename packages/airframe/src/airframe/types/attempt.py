"""The record of one exchange with a backend."""

from __future__ import annotations

from dataclasses import dataclass

from airframe.errors import ErrorCategory

__all__ = ["Attempt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One exchange: how it ended and how long it took. Times are in seconds; `started_at` is Unix time.

    `category` is None for the attempt that succeeded. `waited` is the pause before it.
    """

    number: int
    started_at: float
    duration: float
    waited: float = 0.0
    time_to_first_event: float | None = None
    category: ErrorCategory | None = None
    status: int | None = None
    request_id: str | None = None
    error: str | None = None
