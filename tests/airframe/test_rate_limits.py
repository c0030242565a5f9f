"""What the headers of answers say about an account's limits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.rate_limits import parse_duration, parse_rate_limit
from airframe.types.result import RateLimit

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_openai_s_headers() -> None:
    """Counts, and resets as Go writes durations."""
    headers = {
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1m12.5s",
    }
    assert parse_rate_limit(headers, now=NOW) == RateLimit(
        limit_requests=10000,
        remaining_requests=9999,
        reset_requests=0.006,
        limit_tokens=200000,
        remaining_tokens=0,
        reset_tokens=72.5,
    )


def test_anthropic_s_headers() -> None:
    """Other names, and resets as moments."""
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-20T12:00:07Z",
        "anthropic-ratelimit-tokens-reset": "2026-11-20T11:59:00Z",
    }
    assert parse_rate_limit(headers, now=NOW) == RateLimit(
        limit_requests=50, remaining_requests=49, reset_requests=7.0, reset_tokens=0.0
    )


def test_azure_s_none_is_not_exhausted() -> None:
    """-1 stands for no limit at all; taken for a count it would stop the client."""
    headers = {
        "x-ratelimit-limit-tokens": "-1",
        "x-ratelimit-remaining-tokens": "-1",
        "x-ratelimit-reset-tokens": "60",
    }
    assert parse_rate_limit(headers, now=NOW) == RateLimit(reset_tokens=60.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0s", 0.0),
        ("24.575s", 24.575),
        ("8m38.4s", 518.4),
        ("6h0m0s", 21600.0),
        ("60", 60.0),
        ("1.5", 1.5),
        ("1795176007", 7.0),
        ("1795176007000", 7.0),
        ("1795176000000", 0.0),
        ("1700000000000", 0.0),
        ("2026-11-20T12:00:07+00:00", 7.0),
        ("2026-11-20T12:00:07", 7.0),
        ("soon", None),
        ("", None),
        ("s", None),
        ("9" * 50, None),
    ],
)
def test_resets_in_every_form(value: str, seconds: float | None) -> None:
    """Durations, seconds, Unix time in seconds or milliseconds, and dates; the past is now."""
    found = parse_rate_limit({"x-ratelimit-reset-tokens": value}, now=NOW)
    assert (found.reset_tokens if found else None) == (None if seconds is None else pytest.approx(seconds))


def test_nothing_said_is_none() -> None:
    """Local servers say nothing, and unreadable values are as good as nothing."""
    assert parse_rate_limit({}) is None
    assert parse_rate_limit({"x-ratelimit-limit-requests": "many", "x-ratelimit-limit-tokens": "9" * 30}) is None


@given(value=st.text(max_size=50))
def test_no_value_breaks_the_reading(value: str) -> None:
    """Whatever stands in the headers, a reset is no negative number."""
    found = parse_rate_limit({"x-ratelimit-reset-tokens": value, "x-ratelimit-limit-tokens": value}, now=NOW)
    assert found is None or found.reset_tokens is None or found.reset_tokens >= 0


@pytest.mark.parametrize("value", ["", "5", "1m1h", "5x", "-5s", "1.s"])
def test_what_is_no_duration_is_none(value: str) -> None:
    """Units are needed, in their order."""
    assert parse_duration(value) is None
