"""What a sample says of the whole, and how sure that is: 95 % intervals. Pure.

Shares, the means of values that can only be 0 or 1, have Wilson's interval, and their differences Newcombe's
(Statistics in Medicine 17, 1998, pages 857 and 873; its method 10 for differences): both hold for few values, and near
0 and 1. Other values have Student's, and their differences Welch's, which does not take the two spreads to be equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean, variance

from avionics.llm.experiments.t_distribution import t_quantile

__all__ = ["Estimate", "are_shares", "estimate", "estimate_difference"]

_SIDE = 0.975
"""Of the probability, so much lies below the upper end of an interval."""

_NORMAL = NormalDist().inv_cdf(_SIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean or a difference of means, and where it lies with 95 % confidence.

    `count` is how many values it rests on. `low` and `high` are None where nothing can be said: of a single value, and
    of values that are all the same and no shares.
    """

    value: float
    low: float | None
    high: float | None
    count: int

    def within(self, least: float, most: float) -> Estimate:
        """The same, where it is known to lie between these."""
        low = None if self.low is None else max(self.low, least)
        return replace(self, low=low, high=None if self.high is None else min(self.high, most))

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval does not reach 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def are_shares(values: Iterable[float]) -> bool:
    """Whether all values are 0 or 1."""
    return all(value in (0, 1) for value in values)


def estimate(values: Sequence[float], *, shares: bool = False) -> Estimate | None:
    """The mean of values that do not depend on each other; None without any."""
    if not values:
        return None
    mean, count = fmean(values), len(values)
    if shares:
        low, high = _wilson(mean, count)
        return Estimate(value=mean, low=low, high=high, count=count)
    squares = variance(values) / count if count > 1 else 0.0
    return _around(mean, squares, degrees=count - 1, count=count)


def estimate_difference(values: Sequence[float], others: Sequence[float], *, shares: bool = False) -> Estimate | None:
    """How much greater the mean of `values` is than that of `others`; None where one of them has no values."""
    if not values or not others:
        return None
    difference, count = fmean(values) - fmean(others), len(values) + len(others)
    if shares:
        low, high = _newcombe(values, others)
        return Estimate(value=difference, low=low, high=high, count=count)
    if len(values) < 2 or len(others) < 2:
        return Estimate(value=difference, low=None, high=None, count=count)
    own, other = variance(values) / len(values), variance(others) / len(others)
    return _around(difference, own + other, degrees=_welch(own, len(values), other, len(others)), count=count)


def _around(middle: float, squares: float, *, degrees: float, count: int) -> Estimate:
    """An interval by the t distribution; `squares` is the square of the standard error."""
    if squares <= 0:
        return Estimate(value=middle, low=None, high=None, count=count)
    reach = t_quantile(_SIDE, degrees) * math.sqrt(squares)
    return Estimate(value=middle, low=middle - reach, high=middle + reach, count=count)


def _welch(own: float, own_count: int, other: float, other_count: int) -> float:
    """Degrees of freedom, by the squares of both standard errors (Welch and Satterthwaite)."""
    total = own + other
    if total <= 0:
        return math.inf
    parts = (own / total) ** 2 / (own_count - 1) + (other / total) ** 2 / (other_count - 1)
    return 1 / parts


def _wilson(share: float, count: int) -> tuple[float, float]:
    square = _NORMAL * _NORMAL
    middle = share + square / (2 * count)
    reach = _NORMAL * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    whole = 1 + square / count
    low = 0.0 if share == 0 else max(0.0, (middle - reach) / whole)
    high = 1.0 if share == 1 else min(1.0, (middle + reach) / whole)
    return low, high


def _newcombe(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    own, other = fmean(values), fmean(others)
    own_low, own_high = _wilson(own, len(values))
    other_low, other_high = _wilson(other, len(others))
    difference = own - other
    low = difference - math.hypot(own - own_low, other_high - other)
    return low, difference + math.hypot(own_high - own, other - other_low)
