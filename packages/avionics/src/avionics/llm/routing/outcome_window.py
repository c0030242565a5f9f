"""Successes and failures of the last while, counted in slices of it, so that memory does not grow with calls. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

__all__ = ["OutcomeWindow"]

_SLICES = 10


@dataclass(frozen=True, slots=True)
class _Slice:
    number: int
    failures: int
    calls: int


@dataclass(frozen=True, slots=True)
class OutcomeWindow:
    """Counts by slices, each a tenth of the window long, oldest first. They leave the window one by one."""

    slices: tuple[_Slice, ...] = ()

    def with_success(self, now: float, window: float) -> Self:
        """One more call, which was answered."""
        return self._with(now, window, failures=0)

    def with_failure(self, now: float, window: float) -> Self:
        """One more call, which failed."""
        return self._with(now, window, failures=1)

    def counts(self, now: float, window: float) -> tuple[int, int]:
        """(failures, all calls) of the last `window` seconds."""
        recent = self._recent(_number(now, window))
        return sum(each.failures for each in recent), sum(each.calls for each in recent)

    def _with(self, now: float, window: float, *, failures: int) -> Self:
        number = _number(now, window)
        recent = self._recent(number)
        if recent and recent[-1].number >= number:
            *before, last = recent
            return type(self)((*before, _Slice(last.number, last.failures + failures, last.calls + 1)))
        return type(self)((*recent, _Slice(number, failures, 1)))

    def _recent(self, number: int) -> tuple[_Slice, ...]:
        return tuple(each for each in self.slices if each.number > number - _SLICES)


def _number(now: float, window: float) -> int:
    return math.floor(now * _SLICES / window)
