"""When to ask the same endpoint again, and how long to wait: a pure decision, without clock, sleep or chance of its
own.

Backoff doubles and has full jitter: the wait is drawn evenly from zero to the bound, so that callers who failed
together do not come back together. A wait that the backend asks for is kept when it is bearable; when it is longer
than `max_wait` there is no retry at all, and the error says how long the backend wants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airframe.errors import AirframeError, ConfigurationError, ErrorCategory

__all__ = ["RetryBudget", "RetryPolicy", "parse_retry_after", "parse_should_retry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently. All times are in seconds.

    Attributes:
        max_retries: further attempts after the first; 0 turns retrying off.
        backoff: the bound of the first wait; it doubles with each attempt.
        max_backoff: the highest bound. 8 s is what the vendors' own clients use (openai 3.51, anthropic 2.10).
        max_wait: the longest wait that a backend may ask for. Longer ones are not slept through.
        loading_wait: the pause while a local server loads its model. It says so by 503 and is ready all at once.
        max_loading_time: how long to keep asking a server that is loading; such answers do not count as retries.
        budget: retries in all, as a share of the calls to one endpoint (see `RetryBudget`); None sets no limit.
    """

    max_retries: int = 2
    backoff: float = 0.5
    max_backoff: float = 8.0
    max_wait: float = 60.0
    loading_wait: float = 0.25
    max_loading_time: float = 300.0
    budget: float | None = 0.2

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or self.max_retries < 0:
            raise ConfigurationError(f"max_retries must be 0 or more, got {self.max_retries!r}")
        for name in ("backoff", "max_backoff", "max_wait", "loading_wait", "max_loading_time"):
            value: float = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise ConfigurationError(f"RetryPolicy.{name} must be 0 or more seconds, got {value!r}")
        if self.budget is not None and not 0 <= self.budget <= 1:
            raise ConfigurationError(
                f"RetryPolicy.budget must be a share between 0 and 1, or None, got {self.budget!r}"
            )

    def wait(
        self, error: AirframeError, *, retries: int, elapsed: float, remaining: float, rng: Callable[[], float]
    ) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        Args:
            error: how the attempt failed.
            retries: how many retries were made already, not counting those of a loading server.
            elapsed: seconds since the call began.
            remaining: seconds until its total timeout; `math.inf` without one.
            rng: an even draw from [0, 1).
        """
        if not error.safe_to_retry or self.max_retries == 0:
            return None
        if error.category is ErrorCategory.LOADING and error.retry_after is None:
            wait = self.loading_wait if elapsed < self.max_loading_time else None
        elif retries >= self.max_retries:
            wait = None
        elif error.retry_after is not None:
            # A little jitter on top: everybody else was given the same hint.
            wait = error.retry_after + self.backoff * rng() if error.retry_after <= self.max_wait else None
        else:
            wait = min(self.backoff * 2.0**retries, self.max_backoff) * rng()
        return wait if wait is not None and wait < remaining else None

    def new_budget(self) -> RetryBudget:
        """The budget of an endpoint under this policy."""
        return RetryBudget(math.inf if self.budget is None else self.budget)

    def counts(self, error: AirframeError) -> bool:
        """Whether an attempt that ended so is one of `max_retries`."""
        return error.category is not ErrorCategory.LOADING


class RetryBudget:
    """What keeps a herd of callers from asking a failing endpoint three times as often as a healthy one.

    Every call adds a share of a retry, every retry takes a whole one. A full budget holds `RESERVE` of them, so that
    single failures are always retried; when everything fails, retries fall to the share. (Envoy and Finagle: 20 %.)
    """

    RESERVE = 10.0

    __slots__ = ("_left", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = self.RESERVE

    def deposit(self) -> None:
        """A call begins."""
        self._left = min(self.RESERVE, self._left + self._share)

    def withdraw(self) -> bool:
        """A retry is wanted; tells whether it may be made."""
        if self._share == math.inf:
            return True
        if self._left < 1:
            return False
        self._left -= 1
        return True


def parse_retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """The seconds for which a backend wants to be left alone; None when it says nothing usable.

    Reads `retry-after-ms` (OpenAI, Azure) and `retry-after` in seconds, with or without a fraction, or as a date (RFC
    9110, 10.2.3). When both are there the longer counts: Azure sends `retry-after: 1` beside `retry-after-ms: 0`. A
    value that is negative, zero, past or not a number is no hint; one without end is `math.inf`. Header names are
    expected in lower case.
    """
    hints = (
        _seconds(headers.get("retry-after-ms"), unit=0.001),
        _seconds(headers.get("retry-after")) or _until(headers.get("retry-after"), now),
    )
    return max((hint for hint in hints if hint is not None), default=None)


def parse_should_retry(headers: Mapping[str, str]) -> bool | None:
    """`x-should-retry` of OpenAI and Anthropic, which know better than any status; None when it is not there."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


_LONGEST_NUMBER = 32  # more digits than any honest hint has; converting thousands of them would be work


def _seconds(value: str | None, *, unit: float = 1.0) -> float | None:
    if value is None or "_" in value:
        return None
    if len(value) > _LONGEST_NUMBER:
        return math.inf if value.isdecimal() else None
    try:
        seconds = float(value) * unit
    except ValueError:
        return None
    return seconds if seconds > 0 else None


def _until(value: str | None, now: datetime | None) -> float | None:
    if value is None or len(value) > 64:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return seconds if seconds > 0 else None
