"""Student's t distribution: what a mean of few values may be off by. Pure, and without a library for it."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["t_quantile"]

_AS_GOOD_AS_NORMAL = 1e6
"""Degrees of freedom from which on the normal distribution serves: it differs by less than three in a million."""

_CLOSE = 1e-15
_MOST_TERMS = 10_000
_TINY = 1e-300  # in place of a zero below a fraction line


def t_quantile(probability: float, degrees: float) -> float:
    """The value below which a t-distributed number stays with this probability, from 0.5 on.

    `degrees` of freedom need not be whole: Welch's are not.
    """
    if degrees > _AS_GOOD_AS_NORMAL:
        return NormalDist().inv_cdf(probability)
    low, high = 0.0, 1.0
    while _below(high, degrees) < probability:
        low, high = high, 2 * high
    while high - low > _CLOSE * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _below(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return high


def _below(value: float, degrees: float) -> float:
    """The probability of a number below `value`, which is not negative (Abramowitz and Stegun 26.7.1, 26.5.27)."""
    return 1 - _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + value * value)) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function, for `x` from 0 to 1 (NIST DLMF 8.17)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - _incomplete_beta(b, a, 1 - x)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(logarithm) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of DLMF 8.17.22, by the method of Lentz."""
    value, above, below = 1.0, 1.0, 0.0
    for term in range(1, _MOST_TERMS):
        numerator = _numerator(term, a, b, x)
        below = 1 / (1 + numerator * below or _TINY)
        above = 1 + numerator / above or _TINY
        value *= above * below
        if abs(above * below - 1) < _CLOSE:
            break
    return 1 / value


def _numerator(term: int, a: float, b: float, x: float) -> float:
    half, odd = divmod(term, 2)
    if odd:
        return -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
    return half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
