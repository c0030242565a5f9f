"""An average that forgets: of latencies a peak-sensitive one, as Twitter's Finagle has for balancing. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

__all__ = ["MovingAverage"]

_MEMORY = 30.0
"""Seconds after which a sample weighs 1/e. Calls of models take seconds: that is a handful of them, and a bad minute is
forgotten in the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingAverage:
    """An exponentially weighted moving average over time.

    Attributes:
        value: the average at the time `at`; None before the first sample.
        at: when the last sample came.
        peaks: whether a sample above the average replaces it. So a deployment that turns slow is noticed by one call.
    """

    value: float | None = None
    at: float = 0.0
    peaks: bool = True

    def with_sample(self, sample: float, now: float) -> Self:
        """The average with one more sample."""
        if self.value is None or (self.peaks and sample >= self.value):
            return type(self)(value=sample, at=now, peaks=self.peaks)
        kept = self._kept(now)
        return type(self)(value=self.value * kept + sample * (1 - kept), at=now, peaks=self.peaks)

    def faded(self, now: float) -> float | None:
        """The average, the smaller the longer nobody has asked: what was slow once is tried again."""
        return None if self.value is None else self.value * self._kept(now)

    def _kept(self, now: float) -> float:
        return math.exp(-max(0.0, now - self.at) / _MEMORY)
