"""What answers said of the providers' own limits. It only makes calls wait: no limit of ours becomes wider by it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal

from airframe.types import RateLimit
from avionics.llm.limits.demand import Demand
from avionics.llm.limits.microseconds import Clock

__all__ = ["Learned", "LearnedLimit"]

_LONGEST_BLOCK = 3600.0  # seconds after which one call is sent to see, whatever was said
_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedLimit:
    """What remains until a moment of Unix time."""

    unit: Literal["requests", "tokens"]
    remaining: int
    resets_at: float


class Learned:
    """The newest word on each quota and model, in this process. The quota is the provider's, or a deployment's own.

    A call is kept back only when it surely would not be answered: no request remains, or fewer tokens than its prompt
    has. What is said of a limit without saying until when is not kept.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limits: dict[tuple[str, str | None], dict[str, LearnedLimit]] = {}  # by what said so

    def __bool__(self) -> bool:
        return bool(self._limits)

    def hear(self, quota: str, model: str | None, said: RateLimit | None, retry_after: float | None) -> None:
        """What an answer's headers, or an error, said."""
        now = self._clock()
        limits = dict(_limits(said, now)) if said else {}
        if retry_after:
            resets_at = now + min(retry_after, _LONGEST_BLOCK)
            limits["pause"] = LearnedLimit(unit="requests", remaining=0, resets_at=resets_at)
        if not limits:
            return
        with self._lock:
            known = self._limits.pop((quota, model), {})
            self._limits[quota, model] = known | limits
            if len(self._limits) > _MOST:
                self._limits.pop(next(iter(self._limits)))

    def in_the_way(self, demand: Demand) -> LearnedLimit | None:
        """The limit that keeps a call back for the longest time; None when it may be made."""
        found = [limit for limit in self.limits(demand) if limit.remaining < _needed(limit, demand)]
        return max(found, key=lambda limit: limit.resets_at, default=None)

    def count(self, demand: Demand) -> None:
        """A call is made: as much less remains, until an answer says better."""
        for model in {demand.model, None}:
            key = demand.quota or "", model
            with self._lock:
                if limits := self._limits.get(key):
                    self._limits[key] = {unit: _less(limit, demand) for unit, limit in limits.items()}

    def limits(self, demand: Demand) -> list[LearnedLimit]:
        """What is known for a demand and not over."""
        quota = demand.quota
        if quota is None or not self._limits:
            return []
        now = self._clock()
        found: list[LearnedLimit] = []
        with self._lock:
            for model in {demand.model, None}:
                key = quota, model
                current = {unit: limit for unit, limit in self._limits.get(key, {}).items() if limit.resets_at > now}
                found += current.values()
                if key in self._limits and not current:
                    del self._limits[key]
        return found


def _limits(said: RateLimit, now: float) -> list[tuple[str, LearnedLimit]]:
    figures: tuple[tuple[Literal["requests", "tokens"], int | None, float | None], ...] = (
        ("requests", said.remaining_requests, said.reset_requests),
        ("tokens", said.remaining_tokens, said.reset_tokens),
    )
    return [
        (unit, LearnedLimit(unit=unit, remaining=remaining, resets_at=now + min(reset, _LONGEST_BLOCK)))
        for unit, remaining, reset in figures
        if remaining is not None and reset
    ]


def _needed(limit: LearnedLimit, demand: Demand) -> int:
    return 1 if limit.unit == "requests" else max(1, demand.input_tokens)


def _less(limit: LearnedLimit, demand: Demand) -> LearnedLimit:
    return replace(limit, remaining=max(0, limit.remaining - _needed(limit, demand)))
