"""The plan of a call: whom to ask, in order, and the exact reason against everybody else."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airframe.errors import ErrorCategory
from avionics.llm.catalog import ModelSpec
from avionics.llm.routing import (
    Circumstances,
    Conditions,
    Deployment,
    DeploymentHealth,
    Needs,
    Route,
    RoutePlan,
    Tier,
    plan,
)
from avionics.settings.routing import Balancing

NOW = 1000.0
AROUND = Circumstances(now=datetime(2026, 11, 20, 12, tzinfo=UTC))
A, B, C, D = (Deployment(provider=name) for name in "abcd")
A_BACKUP = Deployment(provider="a", backup=0)
A_OWN = Deployment(provider="a", backup=1, own_quota=True)


def spec(**known: Any) -> ModelSpec:
    return ModelSpec.model_validate({"id": "x:m", "name": "m", "provider": "x", **known})


def resting(
    seconds: float, reason: ErrorCategory = ErrorCategory.SERVER, *, probing_since: float | None = None
) -> DeploymentHealth:
    """Left alone for so many seconds more; below zero, it is half open."""
    return DeploymentHealth(
        failures_in_row=5,
        opened_at=NOW - 5,
        cooldown_until=NOW + seconds,
        openings=1,
        reason=reason,
        probing_since=probing_since,
    )


def tiers_of(*tiers: tuple[Deployment, ...]) -> tuple[Tier, ...]:
    return tuple(Tier(deployments=each) for each in tiers)


def route(*tiers: tuple[Deployment, ...]) -> Route:
    return Route(name="r", tiers=tiers_of(*tiers))


def planned(
    of: Route,
    healths: Mapping[str, DeploymentHealth] | None = None,
    *,
    specs: Mapping[str, ModelSpec | None] | None = None,
    needs: Needs | None = None,
) -> RoutePlan:
    return plan(of, needs or Needs(), AROUND, specs=specs or {}, healths=healths or {}, draw=random.Random(1), now=NOW)


def names(deployments: tuple[Deployment, ...]) -> list[str]:
    return [each.name for each in deployments]


def reasons(made: RoutePlan) -> dict[str, str]:
    return {each.deployment.name: each.reason for each in made.exclusions}


AFTER_FIVE = "after 5 failures, the last: "
PROBED = "another call is finding out whether it is well again"
LASTS = "it shares with a what that one is left alone for: "


@pytest.mark.parametrize(
    ("healths", "candidates", "excluded", "opens_at"),
    [
        ({}, ["a", "b"], {}, None),
        ({"a": resting(3)}, ["b"], {"a": f"it is left alone for another 3 s, {AFTER_FIVE}server"}, None),
        ({"a": resting(0)}, ["a", "b"], {}, None),
        ({"a": resting(-9, probing_since=NOW - 1)}, ["b"], {"a": PROBED}, None),
        ({"a": resting(-9, probing_since=NOW - 301)}, ["a", "b"], {}, None),
        (
            {"a": resting(3), "b": resting(2.5)},
            [],
            {
                "a": f"it is left alone for another 3 s, {AFTER_FIVE}server",
                "b": f"it is left alone for another 2.5 s, {AFTER_FIVE}server",
            },
            NOW + 2.5,
        ),
        (
            {"a": resting(3), "b": resting(-9, probing_since=NOW)},
            [],
            {"a": f"it is left alone for another 3 s, {AFTER_FIVE}server", "b": PROBED},
            NOW + 0.25,
        ),
        (
            {"a": resting(300, ErrorCategory.AUTH), "b": resting(5)},
            [],
            {
                "a": f"it is left alone for another 300 s, {AFTER_FIVE}auth",
                "b": f"it is left alone for another 5 s, {AFTER_FIVE}server",
            },
            NOW + 5,
        ),
        ({"a": resting(300, ErrorCategory.AUTH), "b": resting(9, ErrorCategory.BILLING)}, ["a", "b"], {}, None),
    ],
    ids=[
        "all well",
        "one rests",
        "its time is over",
        "another call tries it",
        "who tried it was lost",
        "all rest",
        "one rests, one is tried",
        "a wrong key, and one that rests",
        "nothing that waiting helps",
    ],
)
def test_who_rests_is_passed_over(
    healths: Mapping[str, DeploymentHealth], candidates: list[str], excluded: dict[str, str], opens_at: float | None
) -> None:
    """With the reason; where nobody is left, it is said when to look again, or it is asked who cannot be helped."""
    made = planned(route((A,), (B,)), healths)
    assert (names(made.candidates), reasons(made), made.opens_at) == (candidates, excluded, opens_at)


@pytest.mark.parametrize(
    ("reason", "candidates", "excluded"),
    [
        (ErrorCategory.CONNECTION, ["a#0", "a#1", "b"], {"a"}),
        (ErrorCategory.TIMEOUT, ["a#0", "a#1", "b"], {"a"}),
        (ErrorCategory.OVERLOADED, ["a#0", "a#1", "b"], {"a"}),
        (ErrorCategory.LOADING, ["a#0", "a#1", "b"], {"a"}),
        (ErrorCategory.SERVER, ["a#0", "a#1", "b"], {"a"}),
        (ErrorCategory.PROTOCOL, ["a#0", "a#1", "b"], {"a"}),
        (ErrorCategory.RATE_LIMIT, ["a#1", "b"], {"a", "a#0"}),
        (ErrorCategory.AUTH, ["b"], {"a", "a#0", "a#1"}),
        (ErrorCategory.PERMISSION, ["b"], {"a", "a#0", "a#1"}),
        (ErrorCategory.BILLING, ["b"], {"a", "a#0", "a#1"}),
        (ErrorCategory.NOT_FOUND, ["b"], {"a", "a#0", "a#1"}),
    ],
)
def test_a_backup_rests_with_its_provider_for_what_they_share(
    reason: ErrorCategory, candidates: list[str], excluded: set[str]
) -> None:
    """Another endpoint helps where the endpoint was the trouble; a quota of its own helps against a rate limit."""
    made = planned(route((A, A_BACKUP, A_OWN), (B,)), {"a": resting(3, reason)})
    assert names(made.candidates) == candidates
    assert reasons(made).keys() == excluded
    assert {text for name, text in reasons(made).items() if name != "a"} <= {f"{LASTS}{reason}"}


def test_a_backup_is_asked_again_when_the_rest_of_its_provider_is_over() -> None:
    """One call tries the provider, and may go on to its backup."""
    made = planned(route((A, A_BACKUP), (B,)), {"a": resting(0, ErrorCategory.RATE_LIMIT)})
    assert names(made.candidates) == ["a", "a#0", "b"]


def test_who_cannot_serve_is_passed_over_with_the_reason() -> None:
    """Before its health is looked at; nobody left and nothing to wait for is a plan without candidates."""
    blind = spec(input_modalities=("text",))
    eu = Deployment(provider="b", when=Conditions(tags=frozenset({"eu"})))
    made = planned(route((A,), (eu,)), {"a": resting(3)}, specs={"a": blind}, needs=Needs(vision=True))
    assert made.candidates == ()
    assert reasons(made) == {"a": "m does not read images", "b": "it is for calls with the tag eu"}
    assert made.opens_at is None


def test_equals_are_ordered_and_tiers_keep_their_order() -> None:
    """Every tier by its own strategy; a backup follows its deployment also when that rests."""
    tiers = (
        Tier(deployments=(A, A_BACKUP, B), balancing="least_busy"),
        Tier(deployments=(C,), balancing="weighted"),
    )
    busy = DeploymentHealth(in_flight=5)
    made = planned(Route(name="r", tiers=tiers), {"a": busy})
    assert names(made.candidates) == ["b", "a", "a#0", "c"]
    made = planned(Route(name="r", tiers=tiers), {"a": resting(3), "b": busy})
    assert names(made.candidates) == ["a#0", "b", "c"]


def test_chains_for_long_and_blocked_prompts_are_planned_too() -> None:
    """Those of them who can serve and are well; who was asked already is not asked again."""
    chains = Route(
        name="r",
        tiers=tiers_of((A,)),
        context_length=tiers_of((A,), (B,), (C,)),
        content_filter=tiers_of((C,)),
    )
    made = planned(chains, {"b": resting(3)})
    assert names(made.content_filter) == ["c"]
    assert names(made.longer_windows((B,), A)) == ["c"]


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ({"a": 100, "b": 200, "c": 100}, ["b"]),
        ({"a": 100, "b": None, "c": 101}, ["c"]),
        ({"a": None, "b": 50, "c": 51}, ["c"]),
        ({"a": 300, "b": 200, "c": None}, []),
    ],
)
def test_a_prompt_that_is_too_long_goes_to_a_larger_window(windows: dict[str, int | None], expected: list[str]) -> None:
    """Known to be larger; where the first one's is unknown, known to be large enough by our estimate."""
    specs = {name: spec(context_window=window) for name, window in windows.items()}
    made = planned(route((A,), (B,), (C,)), specs=specs, needs=Needs(input_tokens=50))
    assert names(made.longer_windows(made.candidates[1:], A)) == expected


def test_who_is_left_alone_is_the_last_resort() -> None:
    """Behind the candidates, the first to be asked again first; not who is left alone for what no pause ends."""
    healths = {
        "a": DeploymentHealth(cooldown_until=NOW + 20, opened_at=NOW, reason=ErrorCategory.SERVER),
        "b": DeploymentHealth(cooldown_until=NOW + 10, opened_at=NOW, reason=ErrorCategory.SERVER),
        "c": DeploymentHealth(cooldown_until=NOW + 5, opened_at=NOW, reason=ErrorCategory.AUTH),
    }
    made = planned(route((A,), (B,), (C,), (D,)), healths=healths)
    assert names(made.candidates) == ["d"]
    assert names(made.resting) == ["b", "a"]
    assert names(made.targets) == ["d", "b", "a"]


HEALTHS = st.sampled_from(
    [
        None,
        DeploymentHealth(in_flight=3),
        resting(5),
        resting(300, ErrorCategory.AUTH),
        resting(20, ErrorCategory.RATE_LIMIT),
        resting(-1),
        resting(-1, probing_since=NOW),
    ]
)
SPECS = st.sampled_from([None, spec(), spec(input_modalities=("text",)), spec(context_window=10)])
STRATEGIES: tuple[Balancing, ...] = get_args(Balancing)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    tiers = list[Tier]()
    for number in range(draw(st.integers(1, 4))):
        deployments = list[Deployment]()
        for place in range(draw(st.integers(1, 3))):
            when = Conditions(tags=frozenset(draw(st.sets(st.sampled_from(["eu", "gold"]), max_size=1))))
            first = Deployment(provider=f"p{number}{place}", weight=draw(st.floats(0, 9)), when=when)
            deployments.append(first)
            for backup in range(draw(st.integers(0, 2))):
                own = draw(st.booleans())
                deployments.append(Deployment(provider=first.provider, backup=backup, when=when, own_quota=own))
        tiers.append(Tier(deployments=tuple(deployments), balancing=draw(st.sampled_from(STRATEGIES))))
    return Route(name="r", tiers=tuple(tiers))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(routes(), st.data(), st.integers(0, 1000))
def test_everybody_is_a_candidate_or_excluded_once(of: Route, data: st.DataObject, turn: int) -> None:
    """And tiers stay in order, and where nobody is left there is a time to wait for, or nobody can serve at all."""
    deployments = list(of.deployments())
    healths = {each.name: health for each in deployments if (health := data.draw(HEALTHS))}
    specs = {each.name: data.draw(SPECS) for each in deployments}
    made = plan(
        of,
        Needs(vision=True, input_tokens=16),
        Circumstances(tags=frozenset({"eu"}), now=AROUND.now, affinity="session"),
        specs=specs,
        healths=healths,
        draw=random.Random(turn),
        turn=turn,
        now=NOW,
    )
    everybody = [*made.candidates, *(each.deployment for each in made.exclusions)]
    assert sorted(names(tuple(everybody))) == sorted(each.name for each in deployments)
    tier_of = {each: number for number, tier in enumerate(of.tiers) for each in tier.deployments}
    assert [tier_of[each] for each in made.candidates] == sorted(tier_of[each] for each in made.candidates)
    assert all(each.reason for each in made.exclusions)
    if not made.candidates and made.opens_at is None:
        unfit = ("m does not read", "the prompt is about", "it is for calls")
        assert all(each.reason.startswith(unfit) for each in made.exclusions)
    assert made.opens_at is None or made.opens_at > NOW
