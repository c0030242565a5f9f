"""What is known of a deployment comes from the records of its exchanges."""

from __future__ import annotations

from decimal import Decimal

import pytest

from airframe.errors import ErrorCategory
from airframe.types import Usage
from avionics.llm.deployment_stats import DeploymentTally, Spread
from avionics.llm.records import AttemptFinished


def exchange(
    duration: float,
    *,
    first_event: float | None = None,
    category: ErrorCategory | None = None,
    tokens: int | None = None,
    cost: Decimal | None = None,
) -> AttemptFinished:
    """One that took so long."""
    return AttemptFinished(
        number=1,
        reason="first",
        provider="p",
        model=None,
        server_address=None,
        server_port=None,
        started_at_ns=0,
        duration=duration,
        time_to_first_event=first_event,
        category=category,
        usage=None if tokens is None else Usage(output_tokens=tokens),
        cost_usd=cost,
    )


def test_a_tally_counts_answers_and_errors_apart() -> None:
    """Each exchange is in one of them; an unknown price is counted, and not as nothing."""
    tally = DeploymentTally("d")
    tally.count(exchange(1, tokens=5, cost=Decimal("0.5")))
    tally.count(exchange(1, tokens=5))
    tally.count(exchange(1, category=ErrorCategory.SERVER))
    stats = tally.stats()
    assert (stats.exchanges, stats.answers, stats.errors) == (3, 2, {ErrorCategory.SERVER: 1})
    assert (stats.spent_usd, stats.without_cost) == (Decimal("0.5"), 1)


def test_the_spread_is_that_of_answers() -> None:
    """Half of a hundred took no longer than 50 seconds, 95 no longer than 95; a failure says nothing of it."""
    tally = DeploymentTally("d")
    for seconds in range(1, 101):
        tally.count(exchange(seconds))
    tally.count(exchange(1000, category=ErrorCategory.TIMEOUT))
    assert tally.stats().latency == Spread(p50=50, p95=95)
    assert tally.stats().first_event == Spread()


def test_only_the_last_thousand_times_are_kept() -> None:
    """What a deployment was like long ago does not hide how it is."""
    tally = DeploymentTally("d")
    for seconds in (1, 2):
        for _ in range(1000):
            tally.count(exchange(seconds))
    assert tally.stats().latency == Spread(p50=2, p95=2)


def test_the_speed_is_that_after_the_first_event() -> None:
    """An answer that came in one read says nothing of it."""
    tally = DeploymentTally("d")
    tally.count(exchange(0.001, tokens=20))
    assert tally.stats().tokens_per_second is None
    tally.count(exchange(3, first_event=1, tokens=20))
    assert tally.stats().tokens_per_second == pytest.approx(10)
