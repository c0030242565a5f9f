"""How deployments fared, from the call log: what the gateway that made the calls says of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.types import Usage
from avionics.calls import CallHistory, CallLog, LoggedAttempt
from avionics.calls.deployment_history import deployment_stats
from avionics.errors import LLMError
from avionics.llm import CostCalculator, LLMGateway
from avionics.llm.deployment_stats import DeploymentStats
from avionics.llm.prices import PriceTable
from avionics.llm.providers import MockProvider
from avionics.llm.routing import HealthPolicy
from avionics.settings import PriceRow, Settings

pytestmark = pytest.mark.anyio

PRICE = PriceRow(provider="openai", input_per_million=Decimal(1_000_000), output_per_million=Decimal(0))
ANSWER = Answer(text="a", usage=Usage(input_tokens=3, output_tokens=5))
SERVER = Failure(ErrorCategory.SERVER)
LATER = 3600.0


async def made(path: Path, **scripts: Sequence[Step]) -> tuple[Settings, LLMGateway]:
    """A gateway whose first provider was asked until its script was over, with all calls in the log."""
    settings = Settings(
        database={"url": f"sqlite:///{path}/calls.db"},
        agents={"default": {"route": "r"}},
        routing={
            "routes": {"r": {"deployments": [{"provider": name} for name in scripts]}},
            "health": {"failures": 2, "cooldown": 600, "longest_cooldown": 900},
        },
    )
    log = CallLog(settings)
    providers = {name: MockProvider(script, name=name, default_model="m") for name, script in scripts.items()}
    gateway = LLMGateway(
        settings, observers=[log], providers=providers, cost_calculator=CostCalculator(PriceTable([PRICE]))
    )
    for _ in next(iter(scripts.values())):
        try:
            async with gateway.complete_stream("Why?") as stream:
                async for _chunk in stream:
                    pass
        except LLMError:
            pass
    log.close()
    return settings, gateway


def logged(settings: Settings) -> Sequence[LoggedAttempt]:
    with CallHistory(settings) as history:
        return list(history.attempts())


def now_of(settings: Settings, *, at: float = 0.0) -> dict[str, DeploymentStats]:
    """The figures from the log, `at` so many seconds from now."""
    policy = HealthPolicy.from_settings(settings.routing.health)
    return {each.name: each for each in deployment_stats(logged(settings), now=time.time() + at, policy=policy)}


def counts(stats: DeploymentStats) -> tuple[object, ...]:
    """What does not depend on a clock."""
    return stats.exchanges, stats.answers, stats.errors, stats.spent_usd, stats.without_cost, stats.breaker


async def test_the_log_says_what_the_gateway_says(tmp_path: Path) -> None:
    """Exchanges, answers, errors, spending and the breaker are the same; of times, what depends on none."""
    settings, gateway = await made(
        tmp_path, openai=[ANSWER, SERVER, ANSWER, Failure(ErrorCategory.AUTH)], llamaserver=[ANSWER, ANSWER]
    )
    told, own = now_of(settings), gateway.get_stats().deployments
    assert told.keys() == own.keys() == {"openai", "llamaserver"}
    for name, stats in told.items():
        expected = own[name]
        assert counts(stats) == counts(expected)
        assert (stats.opens_in is None) == (expected.opens_in is None)
        assert stats.latency.p50 == pytest.approx(expected.latency.p50)
        assert stats.first_event.p95 == pytest.approx(expected.first_event.p95)
        assert stats.tokens_per_second == pytest.approx(expected.tokens_per_second)
    assert told["openai"].breaker == "open"
    assert told["openai"].spent_usd == 6


async def test_a_breaker_opens_and_half_opens_with_time(tmp_path: Path) -> None:
    """After two failures in a row it is open, and after its cooldown half open."""
    settings, _ = await made(tmp_path, openai=[SERVER, SERVER])
    now = now_of(settings)["openai"]
    assert now.breaker == "open"
    assert now.opens_in is not None
    assert 0 < now.opens_in <= 600
    assert now_of(settings, at=601)["openai"].breaker == "half_open"


async def test_a_deployment_that_recovered_is_closed(tmp_path: Path) -> None:
    """An answer after the cooldown closes the breaker. (The log is told of a later answer, so that nobody waits.)"""
    settings, _ = await made(tmp_path, openai=[SERVER, SERVER])
    first, second = logged(settings)
    answer = replace(
        second, call_id="later", category=None, started_at_ns=second.started_at_ns + round(LATER * 1_000_000_000)
    )
    (stats,) = deployment_stats([first, second, answer], now=time.time() + LATER + 1)
    assert (stats.breaker, stats.opens_in) == ("closed", None)


async def test_what_happened_long_ago_leaves_nobody_alone(tmp_path: Path) -> None:
    """The counts stay, the breaker is closed."""
    settings, _ = await made(tmp_path, openai=[SERVER, SERVER])
    stats = now_of(settings, at=2 * 86_400)["openai"]
    assert (stats.exchanges, stats.breaker) == (2, "closed")


async def test_a_failure_that_a_retry_made_good_is_not_held_against_a_deployment(tmp_path: Path) -> None:
    """It is counted as an exchange; the breaker sees the last one, as in the gateway."""
    settings, _ = await made(tmp_path, openai=[SERVER, SERVER])
    first, second = logged(settings)
    retried = [
        replace(second, call_id=call, number=number, reason=reason, category=category)
        for call in ("x", "y")
        for number, reason, category in ((1, "first", "server"), (2, "retry", None))
    ]
    (stats,) = deployment_stats([first, *retried], now=time.time())
    assert (stats.exchanges, stats.answers, stats.breaker) == (5, 2, "closed")


def test_nothing_logged_is_nothing() -> None:
    """No deployment, no figures."""
    assert deployment_stats([], now=0.0) == []
