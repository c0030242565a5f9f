"""How many exchanges a deployment is given at once, learned as TCP learns its window: additive increase, multiplicative
decrease. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

__all__ = ["ConcurrencyLimit"]

_DECREASE = 0.5
"""What is kept of the limit when there were too many: as TCP (RFC 5681), because backends say it no more exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyLimit:
    """`value` is the limit, with the fraction of the next one; `decreases` is how often there were too many."""

    value: float
    most: int
    decreases: int = 0

    @property
    def allowed(self) -> int:
        """How many at once; never fewer than one, or nothing could be learned any more."""
        return max(1, int(self.value))

    def after_answer(self, *, saturated: bool) -> Self:
        """One more for each whole round of answers, while all places are taken: else the limit proves nothing."""
        if not saturated:
            return self
        return replace(self, value=min(self.value + 1 / self.value, float(self.most)))

    def after_refusal(self, *, decreases: int) -> Self:
        """Half, when a backend says that there are too many.

        `decreases` is what it was when the exchange began: what began before the last decrease says nothing new, so
        that a burst of refusals counts once.
        """
        if decreases < self.decreases:
            return self
        return replace(self, value=max(1.0, self.value * _DECREASE), decreases=self.decreases + 1)
