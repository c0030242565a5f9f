"""What is known of the calls of one variant, gathered for comparing. Sessions, not calls, are what it counts by.

Calls of one session are alike, and get one variant together: to count each of them for itself would make a result look
surer than it is. So a session has one value of everything, the mean over its calls. A call without a session or
conversation is one by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["UnitMeans", "VariantSample"]


class UnitMeans:
    """A mean for each session, of values that come in any order."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, unit: str, value: float) -> None:
        """One more value of a session."""
        total, count = self._sums.get(unit, (0.0, 0))
        self._sums[unit] = (total + value, count + 1)

    @property
    def values(self) -> Sequence[float]:
        """The mean of each session."""
        return [total / count for total, count in self._sums.values()]

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(count for _, count in self._sums.values())


@dataclass(slots=True, kw_only=True)
class VariantSample:
    """The calls of one variant.

    Attributes:
        variant: its name; that of copies begins with `shadow:`.
        calls: how many there are.
        units: the sessions that they are of.
        left: how many were cancelled, or left by their reader; they count as neither answered nor failed.
        cached: how many the response cache answered; they say nothing of speed and cost.
        unpriced: how many have a cost that is not known.
        failures: 1 for each call that failed, 0 for each that was answered.
        durations: seconds, of each answer that a backend gave.
        costs: USD, of each call whose cost is known.
        feedback: by metric, the values that calls were given.
    """

    variant: str
    calls: int = 0
    units: set[str] = field(default_factory=set[str])
    left: int = 0
    cached: int = 0
    unpriced: int = 0
    failures: UnitMeans = field(default_factory=UnitMeans)
    durations: list[float] = field(default_factory=list[float])
    costs: UnitMeans = field(default_factory=UnitMeans)
    feedback: dict[str, UnitMeans] = field(default_factory=dict[str, UnitMeans])

    def values(self, metric: str) -> Sequence[float]:
        """The values of a metric, one for each session."""
        return self.feedback[metric].values if metric in self.feedback else ()
