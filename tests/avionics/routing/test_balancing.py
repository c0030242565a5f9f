"""The order among equals, strategy by strategy."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avionics.llm.routing import Deployment, DeploymentHealth, Situation
from avionics.llm.routing.balancing import families, ordered
from avionics.llm.routing.moving_average import MovingAverage
from avionics.settings.routing import Balancing

STRATEGIES: tuple[Balancing, ...] = get_args(Balancing)


def equals(**weights: float) -> list[Deployment]:
    return [Deployment(provider=name, weight=weight) for name, weight in weights.items()]


def order(deployments: list[Deployment], balancing: Balancing, situation: Situation | None = None) -> str:
    """Their names in one text: `bac`."""
    chosen = ordered(families(deployments), balancing, situation or Situation(draw=random.Random(1)))
    return "".join(deployment.provider for deployment in chosen)


def chi_square(seen: Counter[str], expected: dict[str, float]) -> float:
    calls = seen.total()
    return sum((seen[name] - calls * share) ** 2 / (calls * share) for name, share in expected.items())


def fares(
    *, latency: float | None = None, first_event: float | None = None, in_flight: int = 0, at: float = 0.0
) -> DeploymentHealth:
    return DeploymentHealth(
        latency=MovingAverage(value=latency, at=at),
        first_event=MovingAverage(value=first_event, at=at),
        in_flight=in_flight,
    )


@pytest.mark.parametrize("balancing", STRATEGIES)
@settings(deadline=None)
@given(st.lists(st.floats(0, 1000), max_size=6), st.integers(0, 10**9), st.none() | st.text())
def test_every_order_has_each_of_them_once(
    balancing: Balancing, weights: list[float], turn: int, affinity: str | None
) -> None:
    """Those behind the first are its fallbacks: nobody is lost, and nobody is asked twice."""
    deployments = [Deployment(provider=str(place), weight=weight) for place, weight in enumerate(weights)]
    situation = Situation(draw=random.Random(turn), turn=turn, affinity=affinity)
    chosen = ordered(families(deployments), balancing, situation)
    assert sorted(each.name for each in chosen) == sorted(each.name for each in deployments)


@pytest.mark.parametrize("balancing", STRATEGIES)
def test_backups_follow_their_own_deployment(balancing: Balancing) -> None:
    """The same model elsewhere comes before another one, whatever the order of the others."""
    backups = [Deployment(provider="a", backup=0), Deployment(provider="a", backup=1)]
    deployments = [*equals(a=1), *backups, *equals(b=1, c=1)]
    for turn in range(20):
        situation = Situation(draw=random.Random(turn), turn=turn, affinity=str(turn))
        chosen = [each.name for each in ordered(families(deployments), balancing, situation)]
        place = chosen.index("a")
        assert chosen[place : place + 3] == ["a", "a#0", "a#1"]


@pytest.mark.parametrize("balancing", [each for each in STRATEGIES if each != "ordered"])
def test_weight_zero_is_asked_only_when_the_others_fail(balancing: Balancing) -> None:
    """Behind all others, however cheap, fast and idle it is."""
    healths = {"a": fares(latency=9, in_flight=9), "b": fares(latency=9, in_flight=9), "z": fares(latency=0.1)}
    costs = {"z": Decimal(0), "a": Decimal(1), "b": Decimal(1)}
    for turn in range(20):
        situation = Situation(draw=random.Random(turn), turn=turn, healths=healths, costs=costs, affinity=str(turn))
        assert order(equals(z=0, a=1, b=2), balancing, situation).endswith("z")


def test_ordered_is_as_they_are_listed() -> None:
    """Weights do not matter there."""
    assert order(equals(b=0, c=1, a=5), "ordered") == "bca"


class TestWeighted:
    def test_each_is_first_as_often_as_its_weight_says(self) -> None:
        """6000 calls with a fixed seed; chi-square with 2 degrees of freedom, below its 99.9 % bound."""
        draw = random.Random(20261120)
        seen = Counter(order(equals(a=3, b=2, c=1), "weighted", Situation(draw=draw))[0] for _ in range(6000))
        assert chi_square(seen, {"a": 3 / 6, "b": 2 / 6, "c": 1 / 6}) < 13.82

    def test_the_rest_is_drawn_by_weight_too(self) -> None:
        """Where `a` fails, `b` gets two thirds of its calls."""
        draw = random.Random(20261120)
        orders = [order(equals(a=3, b=2, c=1), "weighted", Situation(draw=draw)) for _ in range(6000)]
        seen = Counter(each[1] for each in orders if each[0] == "a")
        assert chi_square(seen, {"b": 2 / 3, "c": 1 / 3}) < 10.83


class TestRoundRobin:
    @pytest.mark.parametrize(
        ("weights", "turns"),
        [
            ({"a": 1, "b": 1, "c": 1}, "abcabc"),
            ({"a": 3, "b": 1}, "aabaaaba"),
            ({"a": 5, "b": 1, "c": 1}, "aabacaa"),
            ({"a": 0.5, "b": 0.25}, "aba"),
            ({"a": 0.001, "b": 0.001}, "abab"),
        ],
    )
    def test_turns_are_mixed_evenly(self, weights: dict[str, float], turns: str) -> None:
        """By weight and not in lumps; fractions count as the proportion that they are."""
        firsts = [order(equals(**weights), "round_robin", Situation(turn=turn))[0] for turn in range(len(turns))]
        assert "".join(firsts) == turns

    def test_a_fallback_is_who_has_the_next_turn(self) -> None:
        """So the calls of one that fails are spread over the others."""
        orders = [order(equals(a=1, b=1, c=1), "round_robin", Situation(turn=turn)) for turn in range(3)]
        assert orders == ["abc", "bca", "cab"]

    @settings(deadline=None)
    @given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
    def test_over_a_period_each_has_exactly_its_share(self, weights: list[int]) -> None:
        """After as many calls as the sum of the weights, each was first as often as its weight says."""
        deployments = [Deployment(provider=str(place), weight=weight) for place, weight in enumerate(weights)]
        situations = (Situation(turn=turn) for turn in range(sum(weights)))
        seen = Counter(ordered(families(deployments), "round_robin", each)[0].provider for each in situations)
        assert [seen[str(place)] for place in range(len(weights))] == weights


class TestLeastBusy:
    @pytest.mark.parametrize(
        ("in_flight", "weights", "expected"),
        [
            ({"a": 2, "b": 1, "c": 0}, {"a": 1, "b": 1, "c": 1}, "cba"),
            ({"a": 4, "b": 2}, {"a": 4, "b": 1}, "ab"),
            ({"a": 4, "b": 1}, {"a": 2, "b": 1}, "ba"),
        ],
    )
    def test_who_has_the_fewest_for_its_weight_is_first(
        self, in_flight: dict[str, int], weights: dict[str, float], expected: str
    ) -> None:
        """Twice the weight is as busy with twice as many."""
        healths = {name: fares(in_flight=number) for name, number in in_flight.items()}
        assert order(equals(**weights), "least_busy", Situation(healths=healths)) == expected

    def test_among_those_alike_it_is_chance(self) -> None:
        """Idle ones are not always asked in the order in which they are listed."""
        draw = random.Random(20261120)
        seen = Counter(order(equals(a=1, b=1), "least_busy", Situation(draw=draw))[0] for _ in range(2000))
        assert chi_square(seen, {"a": 0.5, "b": 0.5}) < 10.83


class TestLowestLatency:
    @pytest.mark.parametrize(
        ("a", "b", "expected"),
        [
            (fares(latency=2), fares(latency=1), "ba"),
            (fares(latency=1), fares(latency=2), "ab"),
            (fares(latency=1, in_flight=3), fares(latency=2), "ba"),
            (fares(latency=1, first_event=0.9), fares(latency=5, first_event=0.1), "ba"),
            (fares(latency=1, first_event=0.9), fares(latency=5), "ab"),
            (fares(latency=1), fares(), "ba"),
            (fares(latency=1, in_flight=9), fares(in_flight=1), "ab"),
            (fares(latency=10, at=-300), fares(latency=1), "ab"),
        ],
        ids=[
            "faster",
            "as listed",
            "fewer waiting",
            "sooner first event",
            "not the same measure",
            "never measured",
            "being measured",
            "slow long ago",
        ],
    )
    def test_the_better_of_two_is_first(self, a: DeploymentHealth, b: DeploymentHealth, expected: str) -> None:
        """By latency times those who wait; who was never measured is tried by one call, and old slowness fades."""
        assert order(equals(a=1, b=1), "lowest_latency", Situation(healths={"a": a, "b": b})) == expected

    def test_of_many_the_fastest_is_not_always_first(self) -> None:
        """Two are drawn: the fastest of three is first in two of three calls, the slowest never."""
        healths = {name: fares(latency=seconds) for name, seconds in (("a", 1), ("b", 2), ("c", 3))}
        draw = random.Random(20261120)
        situation = Situation(healths=healths, draw=draw)
        seen = Counter(order(equals(a=1, b=1, c=1), "lowest_latency", situation)[0] for _ in range(3000))
        assert seen["c"] == 0
        assert chi_square(seen, {"a": 2 / 3, "b": 1 / 3}) < 10.83

    def test_those_drawn_are_drawn_by_weight(self) -> None:
        """Of weights 1, 8 and 1, one of the light ones is among the two that are drawn in 23 of 45 calls."""
        healths = {name: fares(latency=seconds) for name, seconds in (("a", 1), ("b", 2), ("c", 2))}
        situation = Situation(healths=healths, draw=random.Random(20261120))
        firsts = [order(equals(a=1, b=8, c=1), "lowest_latency", situation)[0] for _ in range(3000)]
        seen = Counter("a" if name == "a" else "other" for name in firsts)
        assert chi_square(seen, {"a": 23 / 45, "other": 22 / 45}) < 10.83


def test_the_cheapest_is_first_and_unknown_prices_are_last() -> None:
    """Unknown is not free; nothing known at all is chance."""
    costs = {"a": Decimal("0.02"), "b": None, "c": Decimal(0), "d": Decimal("0.01")}
    assert order(equals(a=1, b=1, c=1, d=1, e=1), "lowest_cost", Situation(costs=costs))[:3] == "cda"
    seen = Counter(
        order(equals(a=1, b=1), "lowest_cost", Situation(draw=random.Random(seed)))[0] for seed in range(200)
    )
    assert min(seen["a"], seen["b"]) > 50


class TestSticky:
    def test_the_same_affinity_goes_to_the_same_place(self) -> None:
        """Whatever chance and turn say; without affinity, by weight."""
        orders = {order(equals(a=1, b=1, c=1), "sticky", Situation(affinity="s", turn=turn)) for turn in range(20)}
        assert len(orders) == 1
        anywhere = {order(equals(a=1, b=1), "sticky", Situation(draw=random.Random(seed))) for seed in range(20)}
        assert anywhere == {"ab", "ba"}

    def test_affinities_are_spread_by_weight(self) -> None:
        """6000 sessions; chi-square as above."""
        firsts = (order(equals(a=3, b=2, c=1), "sticky", Situation(affinity=f"s{n}"))[0] for n in range(6000))
        assert chi_square(Counter(firsts), {"a": 3 / 6, "b": 2 / 6, "c": 1 / 6}) < 13.82

    @settings(deadline=None)
    @given(st.sets(st.text(), min_size=1, max_size=30), st.lists(st.floats(0.1, 10), min_size=2, max_size=6), st.data())
    def test_only_the_sessions_of_who_goes_move(
        self, sessions: set[str], weights: list[float], data: st.DataObject
    ) -> None:
        """And they move to where they would have fallen back: the order of the others does not change."""
        deployments = [Deployment(provider=str(place), weight=weight) for place, weight in enumerate(weights)]
        gone = data.draw(st.sampled_from(deployments))
        left = [each for each in deployments if each != gone]
        for session in sessions:
            situation = Situation(affinity=session)
            before = ordered(families(deployments), "sticky", situation)
            after = ordered(families(left), "sticky", situation)
            assert after == tuple(each for each in before if each != gone)
