"""Who takes part, and as what: the same each time, by the shares of the weights, and moving as few as can be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avionics.llm.experiments.assignment import choose, draw, is_chosen

NAMES = st.text(max_size=12)
WEIGHTS = st.dictionaries(NAMES, st.floats(0, 1000), min_size=1, max_size=5).filter(lambda each: any(each.values()))
UNITS = [f"session-{number}" for number in range(20_000)]


@given(st.lists(NAMES, max_size=4))
def test_a_draw_is_always_between_and_always_the_same(names: list[str]) -> None:
    """Never 0 or 1, whose logarithms are none, or none to divide by."""
    assert 0 < draw(*names) < 1
    assert draw(*names) == draw(*names)


def test_a_draw_is_the_same_in_every_process_and_version() -> None:
    """Sessions keep to their variant over restarts, machines and releases: this number is for ever."""
    assert draw("smaller_model", "mini", "session-1") == 0.3899098883140616


def test_names_are_not_run_together() -> None:
    """The session `b` of experiment `a` is another thing than that of `ab` without a name."""
    assert len({draw("a", "b", "c"), draw("ab", "", "c"), draw("a", "bc", ""), draw("a", "b", "c", "")}) == 4


@given(NAMES, WEIGHTS, NAMES)
def test_the_choice_has_a_weight(experiment: str, weights: dict[str, float], unit: str) -> None:
    """Who has none is never chosen, and the order in which variants are written does not matter."""
    chosen = choose(experiment, weights, unit)
    assert weights[chosen] > 0
    assert choose(experiment, dict(reversed(weights.items())), unit) == chosen


@given(NAMES, WEIGHTS, NAMES, st.data())
def test_a_heavier_variant_only_gains(
    experiment: str, weights: dict[str, float], unit: str, data: st.DataObject
) -> None:
    """When one weight rises, a unit stays where it is or moves there; also when a variant is added."""
    raised = data.draw(st.one_of(st.sampled_from(sorted(weights)), NAMES))
    heavier = {**weights, raised: weights.get(raised, 0) + data.draw(st.floats(0.001, 1000))}
    assert choose(experiment, heavier, unit) in {choose(experiment, weights, unit), raised}


@given(NAMES, NAMES, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_loses_nobody(experiment: str, unit: str, one: float, other: float) -> None:
    """Who took part in a smaller share takes part in a larger one."""
    smaller, larger = sorted((one, other))
    assert is_chosen(larger, experiment, "part", unit) >= is_chosen(smaller, experiment, "part", unit)


# 0.999 quantiles of chi-square (NIST/SEMATECH e-Handbook 1.3.6.7.4). The units are fixed, so it is one for ever.
@pytest.mark.parametrize(
    ("weights", "critical"),
    [
        ({"a": 1, "b": 1}, 10.828),
        ({"a": 1, "b": 2, "c": 4}, 13.816),
        ({"a": 0.5, "b": 9.5}, 10.828),
        ({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 0}, 18.467),
    ],
)
@pytest.mark.parametrize("experiment", ["one", "other", "third"])
def test_variants_get_their_shares(experiment: str, weights: dict[str, float], critical: float) -> None:
    """Pearson's chi-square of 20,000 sessions is what chance makes it."""
    counts = Counter(choose(experiment, weights, unit) for unit in UNITS)
    total = sum(weights.values())
    expected = {name: len(UNITS) * weight / total for name, weight in weights.items() if weight}
    assert sum((counts[name] - count) ** 2 / count for name, count in expected.items()) < critical


def test_as_few_move_as_must() -> None:
    """From 1:1 to 1:3 a quarter of all sessions has to move, and no more does."""
    before = [choose("e", {"a": 1, "b": 1}, unit) for unit in UNITS]
    after = [choose("e", {"a": 1, "b": 3}, unit) for unit in UNITS]
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    assert moved / len(UNITS) == pytest.approx(0.25, abs=0.01)


def test_experiments_do_not_hang_together() -> None:
    """Nor taking part with the variant: the sessions of half a share are split as all are."""
    chosen = [unit for unit in UNITS if is_chosen(0.5, "e", "part", unit)]
    assert len(chosen) / len(UNITS) == pytest.approx(0.5, abs=0.011)
    for experiment in ("e", "f"):
        of_a = sum(choose(experiment, {"a": 1, "b": 1}, unit) == "a" for unit in chosen)
        assert of_a / len(chosen) == pytest.approx(0.5, abs=0.016)
