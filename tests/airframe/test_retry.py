"""When the same endpoint is asked again, and how long a backend wants to be left alone."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe import AirframeError, BackendError, ConfigurationError, ErrorCategory, RetryPolicy
from airframe.retry import RetryBudget, parse_retry_after, parse_should_retry

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def http_date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


# -- hints


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "1"}, 1.0),
        ({"retry-after": "0.7"}, 0.7),
        ({"retry-after": " 20 "}, 20.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "0.5"}, 0.0005),
        ({"retry-after": http_date(90)}, 90.0),
        ({"retry-after": "Friday, 20-Nov-26 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Fri, 20 Nov 2026 13:01:30 +0100"}, 90.0),
        ({"retry-after": "1", "retry-after-ms": "0"}, 1.0),  # Azure, recorded
        ({"retry-after": "1", "retry-after-ms": "1200"}, 1.2),
        ({"retry-after": "5", "retry-after-ms": "nonsense"}, 5.0),
    ],
)
def test_a_hint_is_read_in_every_form(headers: dict[str, str], seconds: float) -> None:
    """Seconds, fractions, milliseconds and dates all say how long to wait; the longer of two hints counts."""
    assert parse_retry_after(headers, now=NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "0",
        "0.0",
        "-1",
        "-0.5",
        "nan",
        "soon",
        "1_000",
        "1 2",
        "0x10",
        http_date(0),
        http_date(-90),
        "1" + "x" * 99,
    ],
)
def test_what_is_no_hint_is_none(value: str) -> None:
    """Garbage, zero, negative numbers and the past leave the wait to our own backoff."""
    assert parse_retry_after({"retry-after": value}, now=NOW) is None
    assert parse_retry_after({"retry-after-ms": value}, now=NOW) is None


@pytest.mark.parametrize("value", ["315360000", "inf", "9" * 5000, "1e400", http_date(315360000)])
def test_a_wait_beyond_all_measure_is_kept_and_not_waited_for(value: str) -> None:
    """Years, infinity and thousands of digits end the call at once; the error says how long the backend wants."""
    wanted = parse_retry_after({"retry-after": value}, now=NOW)
    assert wanted is not None
    assert wanted >= 315360000
    error = BackendError("", category=ErrorCategory.RATE_LIMIT, retry_after=wanted)
    assert wait(RetryPolicy(), error) is None


@given(value=st.text(max_size=80))
def test_no_value_breaks_the_reading(value: str) -> None:
    """Whatever stands in the header, the answer is a positive number or none."""
    wanted = parse_retry_after({"retry-after": value, "retry-after-ms": value}, now=NOW)
    assert wanted is None or wanted > 0


@pytest.mark.parametrize(
    ("value", "retry"), [("true", True), ("false", False), (" TRUE ", True), ("", None), ("1", None), ("maybe", None)]
)
def test_a_backend_may_decide(value: str, retry: bool | None) -> None:
    """`x-should-retry` says yes or no, or nothing."""
    assert parse_should_retry({"x-should-retry": value}) is retry
    assert parse_should_retry({}) is None


# -- decisions

OVERLOADED = BackendError("", category=ErrorCategory.OVERLOADED)
LOADING = BackendError("", category=ErrorCategory.LOADING)


def wait(
    policy: RetryPolicy,
    error: AirframeError,
    *,
    retries: int = 0,
    elapsed: float = 0.0,
    remaining: float = math.inf,
    chance: float = 0.5,
) -> float | None:
    return policy.wait(error, retries=retries, elapsed=elapsed, remaining=remaining, rng=lambda: chance)


def test_backoff_doubles_up_to_its_bound_and_is_drawn_from_zero() -> None:
    """Full jitter: anything between nothing and a bound that doubles with each retry."""
    policy = RetryPolicy(max_retries=10, backoff=0.5, max_backoff=8.0)
    assert [wait(policy, OVERLOADED, retries=retries, chance=1.0) for retries in range(6)] == [0.5, 1, 2, 4, 8, 8]
    assert wait(policy, OVERLOADED, retries=3, chance=0.0) == 0.0


def test_retries_are_counted() -> None:
    """After `max_retries` the call fails; 0 turns retrying off, also for a server that is loading."""
    policy = RetryPolicy(max_retries=2)
    assert wait(policy, OVERLOADED, retries=1) is not None
    assert wait(policy, OVERLOADED, retries=2) is None
    assert wait(RetryPolicy(max_retries=0), OVERLOADED) is None
    assert wait(RetryPolicy(max_retries=0), LOADING) is None


@pytest.mark.parametrize("category", ErrorCategory)
def test_the_category_decides(category: ErrorCategory) -> None:
    """Only what may well succeed a little later is repeated."""
    repeated = {"rate_limit", "overloaded", "loading", "conflict", "timeout", "server", "connection", "protocol"}
    assert (wait(RetryPolicy(), BackendError("", category=category)) is not None) == (category in repeated)


def test_the_backend_knows_better_than_the_category() -> None:
    """`x-should-retry` is obeyed both ways."""
    assert wait(RetryPolicy(), BackendError("", category=ErrorCategory.OVERLOADED, retryable=False)) is None
    assert wait(RetryPolicy(), BackendError("", category=ErrorCategory.INVALID_REQUEST, retryable=True)) is not None


def test_nothing_is_repeated_that_was_delivered() -> None:
    """An error after output is final, whatever its category."""
    error = BackendError("", category=ErrorCategory.OVERLOADED)
    error.committed = True
    assert wait(RetryPolicy(), error) is None


def test_a_hint_is_waited_for_up_to_the_cap() -> None:
    """A backend gets the time it asks for and a little jitter; more than the cap is not slept through."""
    policy = RetryPolicy(backoff=0.5, max_wait=60.0)
    hint = [BackendError("", category=ErrorCategory.RATE_LIMIT, retry_after=seconds) for seconds in (7.0, 60.0, 60.1)]
    assert [wait(policy, error, chance=0.5) for error in hint] == [7.25, 60.25, None]


def test_no_wait_outlasts_the_call() -> None:
    """A wait that would end behind the total timeout is not begun."""
    error = BackendError("", category=ErrorCategory.RATE_LIMIT, retry_after=7.0)
    assert wait(RetryPolicy(), error, remaining=7.0) is None
    assert wait(RetryPolicy(), error, remaining=8.0) is not None


def test_a_loading_server_is_asked_again_without_counting() -> None:
    """It says so by itself and is ready all at once: a steady pause, until its time is over."""
    policy = RetryPolicy(max_retries=1, loading_wait=0.25, max_loading_time=300.0)
    assert wait(policy, LOADING, retries=1, elapsed=299.0) == 0.25
    assert wait(policy, LOADING, elapsed=300.0) is None
    assert not policy.counts(LOADING)
    assert policy.counts(OVERLOADED)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_retries", -1),
        ("max_retries", True),
        ("backoff", -0.1),
        ("max_backoff", math.inf),
        ("max_wait", math.nan),
        ("loading_wait", -1.0),
        ("max_loading_time", -1.0),
        ("budget", 1.5),
        ("budget", -0.1),
    ],
)
def test_a_policy_that_cannot_work_is_refused(field: str, value: float) -> None:
    """The error names the field and the value."""
    with pytest.raises(ConfigurationError, match=field):
        RetryPolicy(**{field: value})  # type: ignore[arg-type]


# -- the budget


def test_single_failures_are_always_retried_and_a_herd_is_not() -> None:
    """A full budget holds a reserve; when everything fails, retries fall to their share of the calls."""
    budget = RetryBudget(0.2)
    assert all(budget.withdraw() for _ in range(10))
    made = 0
    for _ in range(100):
        budget.deposit()
        made += budget.withdraw()
    assert made == pytest.approx(20, abs=1)


def test_a_budget_is_not_saved_up() -> None:
    """A long quiet time does not pay for a storm."""
    budget = RetryBudget(0.2)
    for _ in range(1000):
        budget.deposit()
    assert sum(budget.withdraw() for _ in range(1000)) == 10


def test_without_a_budget_every_retry_is_made() -> None:
    """None sets no limit."""
    budget = RetryPolicy(budget=None).new_budget()
    assert all(budget.withdraw() for _ in range(1000))
