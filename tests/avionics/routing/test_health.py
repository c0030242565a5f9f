"""The circuit breaker of a deployment: when it opens, for how long, and that it always gets another chance."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airframe.errors import ErrorCategory
from avionics.llm.routing.health import (
    COUNTS,
    DeploymentHealth,
    HealthPolicy,
    after_failure,
    after_success,
    state_of,
)

POLICY = HealthPolicy.from_settings()
SERVER, RATE_LIMIT, AUTH = ErrorCategory.SERVER, ErrorCategory.RATE_LIMIT, ErrorCategory.AUTH


def failed(
    health: DeploymentHealth, now: float, category: ErrorCategory = SERVER, retry_after: float | None = None
) -> DeploymentHealth:
    return after_failure(health, now=now, category=category, retry_after=retry_after, began=now, policy=POLICY)


def answered(health: DeploymentHealth, now: float, duration: float = 1.0) -> DeploymentHealth:
    return after_success(health, now=now, duration=duration, policy=POLICY)


def replayed(events: str) -> DeploymentHealth:
    """`F` a failure, `.` an answer, `+` ten seconds later; each event takes a tenth of a second."""
    health, now = DeploymentHealth(), 0.0
    for event in events:
        now += 10 if event == "+" else 0.1
        if event != "+":
            health = failed(health, now) if event == "F" else answered(health, now)
    return health


@pytest.mark.parametrize(
    ("events", "opens"),
    [
        ("FFFF", False),
        ("FFFFF", True),
        ("FFFF.FFFF", False),
        ("F.F.F.F.F", False),
        ("F.F.F.F.F." + "F", True),
        ("..FF..FF.F", True),
        ("..FF..FF..", False),
        ("....." * 20 + "FFFF." * 4, False),
        ("FFFF++++++.....F", False),
        ("F.F.F.F.+++++F.F", True),
        ("F.F.F.F.++++++F.F", False),
    ],
)
def test_it_opens_after_failures_in_a_row_and_at_a_share_of_them(events: str, opens: bool) -> None:
    """Five in a row, or half of at least ten calls within a minute."""
    assert (replayed(events).cooldown_until is not None) is opens


@pytest.mark.parametrize("category", ErrorCategory)
def test_only_what_tells_of_the_deployment_counts(category: ErrorCategory) -> None:
    """A wrong request, a blocked prompt or one that is too long says nothing of the endpoint."""
    health = DeploymentHealth()
    for _ in range(POLICY.failures):
        health = failed(health, 0.0, category)
    assert (state_of(health, 0.0) == "open") is COUNTS[category]
    assert COUNTS[category] or health == DeploymentHealth()


def test_every_category_is_decided() -> None:
    """Which failures count is one table, and it is whole."""
    assert set(COUNTS) == set(ErrorCategory)
    assert {each.value for each, counts in COUNTS.items() if not counts} == {
        "invalid_request",
        "unsupported",
        "context_length",
        "content_filter",
        "conflict",
        "cancelled",
        "unknown",
        "tls",
    }


@pytest.mark.parametrize(
    ("category", "retry_after", "seconds"),
    [
        (AUTH, None, 300.0),
        (ErrorCategory.BILLING, None, 300.0),
        (RATE_LIMIT, 20.0, 20.0),
        (RATE_LIMIT, 0.5, 0.5),
        (ErrorCategory.OVERLOADED, 7.0, 7.0),
        (RATE_LIMIT, 86_400.0, 300.0),
        (RATE_LIMIT, None, None),
        (ErrorCategory.PERMISSION, None, None),
        (ErrorCategory.NOT_FOUND, None, None),
    ],
)
def test_one_failure_is_enough_where_it_says_so_itself(
    category: ErrorCategory, retry_after: float | None, seconds: float | None
) -> None:
    """A wrong key or an empty account for the longest cooldown; a backend that names a time for that time, capped."""
    health = failed(DeploymentHealth(), 100.0, category, retry_after)
    assert health.cooldown_until == (None if seconds is None else 100.0 + seconds)


def test_each_time_that_it_is_not_well_it_is_left_alone_for_longer() -> None:
    """Five seconds, doubled each time, up to five minutes; and from the beginning after a success."""
    health, now, seconds = replayed("FFFFF"), 0.5, list[float]()
    for _ in range(8):
        assert health.cooldown_until is not None
        seconds.append(round(health.cooldown_until - now, 6))
        now = health.cooldown_until
        assert state_of(health, now) == "half_open"
        health = failed(health, now)
    assert seconds == [5, 10, 20, 40, 80, 160, 300, 300]
    assert health.cooldown_until is not None
    health = answered(health, health.cooldown_until)
    assert state_of(health, now) == "closed"
    assert health.openings == 0


def test_after_the_first_time_the_backends_own_time_is_the_least() -> None:
    """A backend that always says "in a second" is not asked every second for ever."""
    health, now, seconds = failed(DeploymentHealth(), 0.0, RATE_LIMIT, 1.0), 0.0, list[float]()
    for retry_after in (1.0, 1.0, 200.0):
        assert health.cooldown_until is not None
        seconds.append(health.cooldown_until - now)
        now = health.cooldown_until
        health = failed(health, now, RATE_LIMIT, retry_after)
    assert health.cooldown_until is not None
    assert [*seconds, health.cooldown_until - now] == [1, 10, 20, 200]


def test_what_was_counted_before_does_not_open_it_again() -> None:
    """Well again means a clean slate: a single failure afterwards is only one."""
    health = replayed("FFFFF")
    health = failed(answered(health, 10.0), 10.1)
    assert state_of(health, 10.1) == "closed"
    assert health.outcomes.counts(10.1, POLICY.window) == (1, 1)


def test_a_late_failure_from_before_does_not_count_as_a_new_trial() -> None:
    """Ten calls that hang time out one after the other: that is one outage, not ten."""
    health = replayed("FFFFF")
    late = after_failure(health, now=7.0, category=SERVER, began=0.2, policy=POLICY)
    assert (late.cooldown_until, late.openings) == (health.cooldown_until, 1)
    assert state_of(late, 7.0) == "half_open"
    own = after_failure(health, now=7.0, category=SERVER, began=6.0, policy=POLICY)
    assert (own.cooldown_until, own.openings) == (17.0, 2)


def test_a_success_while_it_is_open_does_not_close_it() -> None:
    """It answers a question from before; what the backend asked for since then holds."""
    health = failed(DeploymentHealth(), 0.0, RATE_LIMIT, 20.0)
    assert state_of(answered(health, 1.0), 1.0) == "open"


def test_a_longer_time_that_the_backend_names_while_it_is_open_holds() -> None:
    """Of calls at the same moment one may be told more than another; a shorter time changes nothing."""
    health = failed(DeploymentHealth(), 0.0, RATE_LIMIT, 20.0)
    assert failed(health, 1.0, RATE_LIMIT, 60.0).cooldown_until == 61.0
    assert failed(health, 1.0, RATE_LIMIT, 5.0).cooldown_until == 20.0
    assert failed(health, 1.0, AUTH).cooldown_until == 301.0
    assert failed(health, 1.0, RATE_LIMIT, 60.0).openings == 1


def test_latency_jumps_up_and_comes_down_slowly() -> None:
    """One slow call is believed at once; fast ones have to come for a while. Unused, it fades."""
    health = answered(DeploymentHealth(), 0.0, duration=1.0)
    health = answered(health, 1.0, duration=10.0)
    assert health.latency.faded(1.0) == 10.0
    health = answered(health, 31.0, duration=1.0)
    assert health.latency.faded(31.0) == pytest.approx(10 / math.e + 1 - 1 / math.e)
    assert health.latency.faded(91.0) == pytest.approx((health.latency.value or 0) / math.e**2)
    assert DeploymentHealth().latency.faded(5.0) is None


def test_speed_is_counted_after_the_first_event() -> None:
    """100 tokens in 10 seconds, of which 5 were waited for the first: 20 a second."""
    health = after_success(DeploymentHealth(), now=0.0, duration=10, first_event=5, tokens=100, policy=POLICY)
    assert (health.latency.value, health.first_event.value, health.tokens_per_second.value) == (10, 5, 20)
    unknown = after_success(DeploymentHealth(), now=0.0, duration=10, policy=POLICY)
    assert (unknown.first_event.value, unknown.tokens_per_second.value) == (None, None)


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 1000),
        st.sampled_from([None, *ErrorCategory]),
        st.none() | st.floats(0, 1e9),
        st.floats(0, 600),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(EVENTS)
def test_it_always_gets_another_chance(events: list[tuple[float, ErrorCategory | None, float | None, float]]) -> None:
    """Whatever happened, it is asked again after the longest cooldown, and a success then makes it well."""
    health, now = DeploymentHealth(), 0.0
    for pause, category, retry_after, duration in events:
        now += pause
        if category is None:
            health = after_success(health, now=now, duration=duration, policy=POLICY)
        else:
            health = after_failure(
                health, now=now, category=category, retry_after=retry_after, began=now - duration, policy=POLICY
            )
        assert health.cooldown_until is None or health.cooldown_until <= now + POLICY.longest_cooldown
        assert (health.cooldown_until is None) == (health.opened_at is None) == (health.reason is None)
    assert state_of(health, now + POLICY.longest_cooldown) != "open"
    assert state_of(answered(health, now + POLICY.longest_cooldown), now + POLICY.longest_cooldown) == "closed"


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_the_cooldown_has_an_end_after_however_many_openings(openings: int) -> None:
    """Growth without end would overflow."""
    health = replace(replayed("FFFFF"), openings=openings, cooldown_until=1.0)
    again = failed(health, 2.0)
    assert again.cooldown_until is not None
    assert 0 < again.cooldown_until - 2.0 <= POLICY.longest_cooldown


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1) | st.floats(0, 30), st.booleans()), max_size=100))
@example([(1.0, True)] * 50)
def test_the_window_holds_what_is_in_it(events: list[tuple[float, bool]]) -> None:
    """Everything younger than nine tenths of it, nothing older than all of it, in at most ten slices."""
    health, now, seen = DeploymentHealth(), 0.0, list[tuple[float, bool]]()
    for pause, ok in events:
        now += pause
        window = health.outcomes
        window = window.with_success(now, 60) if ok else window.with_failure(now, 60)
        health = replace(health, outcomes=window)
        seen.append((now, ok))
        failures, calls = window.counts(now, 60)
        young = [ok for when, ok in seen if when > now - 54]
        old = [ok for when, ok in seen if when > now - 60]
        assert len(young) <= calls <= len(old)
        assert young.count(False) <= failures <= old.count(False)
        assert len(window.slices) <= 10
