"""The intervals of reports are those of the literature."""

from __future__ import annotations

import random
from itertools import pairwise
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avionics.llm.experiments.intervals import estimate, estimate_difference
from avionics.llm.experiments.t_distribution import t_quantile

# R's data set PlantGrowth (Dobson, An Introduction to Statistical Modelling, 1983, table 3.1): dried weights.
CONTROL = [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14]
TREATED = [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69]


def shares(ones: int, of: int) -> list[float]:
    return [1.0] * ones + [0.0] * (of - ones)


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062), (2, 4.30265), (5, 2.57058), (10, 2.22814), (30, 2.04227), (100, 1.98397), (1e9, 1.95996)],
)
def test_the_quantiles_are_those_of_the_tables(degrees: float, quantile: float) -> None:
    """NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, with the digits of SciPy 1.17.1 (`t.ppf`)."""
    assert t_quantile(0.975, degrees) == pytest.approx(quantile, rel=3e-6)


@pytest.mark.parametrize(("degrees", "quantile"), [(0.5, 164.557673480), (2.5, 3.574654842), (17.776, 2.102821310)])
def test_degrees_of_freedom_need_not_be_whole(degrees: float, quantile: float) -> None:
    """SciPy 1.17.1, `t.ppf(0.975, degrees)`."""
    assert t_quantile(0.975, degrees) == pytest.approx(quantile, rel=1e-9)


def test_the_quantiles_come_to_those_of_the_normal_distribution() -> None:
    """Without a step where the one takes the place of the other."""
    normal = NormalDist().inv_cdf(0.975)
    found = [t_quantile(0.975, degrees) for degrees in (1e3, 1e4, 1e5, 9.9e5, 1e6 + 1, 1e8)]
    assert all(left >= right >= normal for left, right in pairwise(found))
    assert found[3] - found[4] < 1e-5


@pytest.mark.parametrize(
    ("ones", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_share_has_wilsons_interval(ones: int, of: int, low: float, high: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    found = estimate(shares(ones, of), shares=True)
    assert found is not None
    assert (found.value, found.count) == (ones / of, of)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("own", "other", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_shares_differ_by_newcombes_interval(
    own: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10."""
    found = estimate_difference(shares(*own), shares(*other), shares=True)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_a_mean_has_students_interval() -> None:
    """SciPy 1.17.1: `t.interval(0.95, 9, mean, sem)` of the control of PlantGrowth."""
    found = estimate(CONTROL)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((5.032, 4.61488156, 5.44911844))


def test_means_differ_by_welchs_interval() -> None:
    """R: `t.test(ctrl, trt1)` of PlantGrowth gives df = 16.524 and -0.2875162 to 1.0295162."""
    found = estimate_difference(CONTROL, TREATED)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.371, -0.2875162, 1.0295162))
    assert not found.excludes_zero


@pytest.mark.parametrize("values", [[0.5], [4.0, 4.0, 4.0], [0.0, 0.0]])
def test_nothing_is_made_up(values: list[float]) -> None:
    """One value, or values that are all the same, do not say how sure they are."""
    found = estimate(values)
    assert found is not None
    assert (found.value, found.low, found.high) == (values[0], None, None)
    assert estimate([]) is None
    assert estimate_difference(values, []) is None


@given(st.lists(st.integers(0, 1).map(float), min_size=1), st.lists(st.integers(0, 1).map(float), min_size=1))
def test_intervals_of_shares_stay_where_shares_are(values: list[float], others: list[float]) -> None:
    """A share lies between 0 and 1, a difference between -1 and 1, each within its interval."""
    share, difference = estimate(values, shares=True), estimate_difference(values, others, shares=True)
    assert share is not None
    assert share.low is not None
    assert share.high is not None
    assert 0 <= share.low <= share.value <= share.high <= 1
    assert difference is not None
    assert difference.low is not None
    assert difference.high is not None
    assert -1 - 1e-12 <= difference.low <= difference.value + 1e-12
    assert difference.value - 1e-12 <= difference.high <= 1 + 1e-12


def test_the_truth_is_inside_as_often_as_is_said() -> None:
    """Of 4000 samples of 12 normal values each, with other spreads, 95 in 100 intervals have it: three sigma of 4000
    tries are one in a hundred.
    """
    draw = random.Random(20)
    inside = 0
    for _ in range(4000):
        found = estimate_difference([draw.gauss(1, 3) for _ in range(12)], [draw.gauss(0, 1) for _ in range(12)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 1 <= found.high
    assert inside / 4000 == pytest.approx(0.95, abs=0.0105)
