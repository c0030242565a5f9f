"""What limits count, for whom, and what becomes of what was reserved: in every store."""

from __future__ import annotations

import logging
import pickle
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import pytest

from airframe.errors import ErrorCategory
from airframe.testing.clock import Clock
from avionics.errors import BudgetExceededError, ConfigurationError, QuotaExceededError, RateLimitExceededError
from avionics.llm.limits import Demand, Limiter
from avionics.settings import Settings
from avionics.settings.calls import LimitsSettings

pytestmark = pytest.mark.anyio

MakeDemand: TypeAlias = Callable[..., Demand]
MakeLimiter: TypeAlias = Callable[..., Limiter]
MakeLimits: TypeAlias = Callable[..., LimitsSettings]


@pytest.fixture
async def limiter(
    place: Mapping[str, str], make_limits: MakeLimits, clock: Clock, anyio_backend: object
) -> AsyncIterator[MakeLimiter]:
    """Makes limiters on the test's time; arguments are fields of the section `limits`."""
    made: list[Limiter] = []

    def make(**fields: Any) -> Limiter:
        made.append(Limiter(make_limits(**place, **fields), clock=lambda: clock.now))
        return made[-1]

    yield make
    for each in made:
        await each.aclose()


def usd(limiter: Limiter, demand: Demand | None = None) -> tuple[Decimal | int | None, ...]:
    (state,) = (state for state in limiter.state(demand) if state.unit == "usd")
    return state.spent, state.reserved, state.left


async def test_a_budget_is_reserved_then_settled(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """While a call is under way, the most that it may cost is held; afterwards, what it did cost is spent."""
    limits = limiter(budgets=[{"usd": 1}])
    reservation = await limits.reserve(demand(cost_usd=Decimal("0.7")))
    assert usd(limits) == (0, Decimal("0.7"), Decimal("0.3"))
    await reservation.settle(input_tokens=10, output_tokens=3, cost_usd=Decimal("0.123456789"))
    assert usd(limits) == (Decimal("0.123456789"), 0, Decimal("0.876543211"))


async def test_calls_under_way_cannot_overspend_together(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """The fourth is refused although nothing is spent yet, and told what is left and when there will be more."""
    limits = limiter(budgets=[{"agent": "planner", "usd": 1, "per": "day"}])
    for _ in range(3):
        await limits.reserve(demand(agent="planner"))
    with pytest.raises(BudgetExceededError) as caught:
        await limits.reserve(demand(agent="planner"))
    error: BudgetExceededError = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == (
        "limits.budgets.0 (1 USD per day for agent planner): the call may use 0.3 USD, and 0.1 USD are left; it is "
        "renewed at 2035-11-20 00:00 UTC; nothing was sent"
    )
    assert isinstance(caught.value, QuotaExceededError)
    assert (error.limit, error.left) == ("limits.budgets.0 (1 USD per day for agent planner)", Decimal("0.1"))
    assert (error.renews_at, error.category) == (datetime(2035, 11, 20, tzinfo=UTC), ErrorCategory.BILLING)
    await limits.reserve(demand(agent="writer"))


async def test_what_was_not_billed_is_given_back(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """A released call leaves budgets and rates as if it had never been."""
    limits = limiter(budgets=[{"usd": 1}], rates=[{"requests_per_minute": 1, "tokens_per_minute": 30, "max_wait": 0}])
    await (await limits.reserve(demand())).release()
    assert usd(limits) == (0, 0, 1)
    assert [state.left for state in limits.state()] == [1, 30, 1]
    await limits.reserve(demand())


async def test_the_first_end_counts(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """Settling twice books once."""
    limits = limiter(budgets=[{"usd": 1}])
    reservation = await limits.reserve(demand())
    await reservation.settle(input_tokens=1, output_tokens=1, cost_usd=Decimal("0.2"))
    await reservation.settle(input_tokens=1, output_tokens=1, cost_usd=Decimal("0.9"))
    await reservation.release()
    assert usd(limits) == (Decimal("0.2"), 0, Decimal("0.8"))


async def test_what_is_unknown_stays_counted(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """A broken answer that nobody counted costs as much as was reserved; so does one that nobody settled."""
    limits = limiter(budgets=[{"usd": 1, "tokens": 100}])
    await (await limits.reserve(demand())).settle(input_tokens=5, output_tokens=None, cost_usd=None)
    async with await limits.reserve(demand()):
        pass
    spent = {state.unit: (state.spent, state.reserved) for state in limits.state()}
    assert spent == {"usd": (Decimal("0.6"), 0), "tokens": (25 + 30, 0)}
    await limits.reserve(demand())
    assert usd(limits)[1] == Decimal("0.3")


async def test_tokens_of_a_minute_are_settled_too(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """What the answer did not use is there for the next call at once."""
    limits = limiter(rates=[{"tokens_per_minute": 100, "max_wait": 0}])
    reservation = await limits.reserve(demand(input_tokens=20, output_tokens=80))
    with pytest.raises(RateLimitExceededError):
        await limits.reserve(demand())
    await reservation.settle(input_tokens=20, output_tokens=10, cost_usd=None)
    await limits.reserve(demand(input_tokens=20, output_tokens=50))
    assert [state.left for state in limits.state()] == [0]


async def test_a_call_larger_than_the_limit_is_told_so(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """It would wait for ever."""
    limits = limiter(rates=[{"tokens_per_minute": 1000, "burst": 0.5}])
    with pytest.raises(
        RateLimitExceededError, match=r"may need 501 tokens, and never more than 500 .* max_tokens"
    ) as caught:
        await limits.reserve(demand(input_tokens=1, output_tokens=500))
    assert caught.value.retry_after is None
    await limits.reserve(demand(input_tokens=0, output_tokens=500))


async def test_an_unknown_price_is_refused_or_uncounted(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """As the budget says; what is learned of the cost afterwards counts."""
    with pytest.raises(BudgetExceededError, match="unknown_price: allow"):
        await limiter(budgets=[{"usd": 1}]).reserve(demand(cost_usd=None))
    limits = limiter(budgets=[{"tenant": "a", "usd": 1, "unknown_price": "allow"}])
    reservation = await limits.reserve(demand(tenant="a", cost_usd=None))
    assert usd(limits) == (0, 0, 1)
    await reservation.settle(input_tokens=1, output_tokens=1, cost_usd=Decimal("0.25"))
    assert usd(limits) == (Decimal("0.25"), 0, Decimal("0.75"))
    await limiter(budgets=[{"tokens": 100}]).reserve(demand(cost_usd=None))


async def test_each_name_is_counted_by_itself(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """With `*`; those without a name are together."""
    limits = limiter(rates=[{"tenant": "*", "provider": "openai", "requests_per_minute": 1, "max_wait": 0}])
    for tenant in ("a", "b", None, "", "*", "a;provider=openai"):
        await limits.reserve(demand(tenant=tenant))
        with pytest.raises(RateLimitExceededError):
            await limits.reserve(demand(tenant=tenant))
        await limits.reserve(demand(tenant=tenant, provider="anthropic"))


async def test_a_name_and_each_name_are_counted_apart(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """Limits that count the same call under different scopes do not count it twice in one place."""
    scopes = [{"provider": "openai", "tenant": "*"}, {"provider": "*", "tenant": "a"}, {"tenant": "a"}, {"tenant": "*"}]
    limits = limiter(rates=[{"requests_per_minute": 1, "max_wait": 0, **scope} for scope in scopes])
    await limits.reserve(demand(tenant="a"))
    assert [state.left for state in limits.state()] == [0, 0, 0, 0]
    with pytest.raises(RateLimitExceededError):
        await limits.reserve(demand(tenant="a"))


async def test_every_limit_that_fits_holds(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """The strictest refuses, and the others have counted nothing then."""
    budgets = [{"usd": 10}, {"provider": "openai", "usd": 5}, {"provider": "openai", "model": "m", "usd": "0.5"}]
    limits = limiter(budgets=budgets)
    await limits.reserve(demand())
    with pytest.raises(
        BudgetExceededError, match=r"limits\.budgets\.2 \(0\.5 USD per month for provider openai, model m\)"
    ):
        await limits.reserve(demand())
    assert [state.left for state in limits.state()] == [Decimal("9.7"), Decimal("4.7"), Decimal("0.2")]


async def test_an_exchange_is_not_counted_twice_within_its_call(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """A call is counted by the limits of its tenant, its exchanges by those of providers and models."""
    rates = [{"tenant": "a", "requests_per_minute": 1, "max_wait": 0}, {"provider": "*", "requests_per_minute": 1}]
    limits = limiter(rates=rates)
    call = await limits.reserve(demand(tenant="a", provider=None, model=None))
    await limits.reserve(demand(tenant="a", provider="openai"), within=call)
    await limits.reserve(demand(tenant="a", provider="anthropic"), within=call)
    with pytest.raises(RateLimitExceededError, match="tenant a"):
        await limits.reserve(demand(tenant="a", provider="ollama"))


@pytest.mark.parametrize(
    ("budget", "later"),
    [
        ({"per": "day"}, datetime(2035, 11, 20, tzinfo=UTC)),
        ({"per": "month"}, datetime(2035, 12, 1, tzinfo=UTC)),
        ({"per": "day", "timezone": "Asia/Tokyo"}, datetime(2035, 11, 19, 15, tzinfo=UTC)),
        ({"per": "month", "timezone": "America/New_York"}, datetime(2035, 12, 1, 5, tzinfo=UTC)),
    ],
)
async def test_a_budget_is_renewed_by_the_calendar(
    budget: dict[str, str], later: datetime, limiter: MakeLimiter, demand: MakeDemand, clock: Clock
) -> None:
    """At midnight, or on the first, of its time zone, and not a second before; late calls count for the old one."""
    limits = limiter(budgets=[{"usd": 1, **budget}])
    old = await limits.reserve(demand(cost_usd=Decimal(1)))
    assert [state.renews_at for state in limits.state()] == [later]
    clock.now = later.timestamp() - 1
    with pytest.raises(BudgetExceededError):
        await limits.reserve(demand())
    clock.now = later.timestamp()
    await limits.reserve(demand())
    await old.settle(input_tokens=1, output_tokens=1, cost_usd=Decimal(1))
    assert usd(limits) == (0, Decimal("0.3"), Decimal("0.7"))


async def test_a_total_budget_is_never_renewed(limiter: MakeLimiter, demand: MakeDemand, clock: Clock) -> None:
    """Not in ten years either."""
    limits = limiter(budgets=[{"usd": 1, "per": "total"}])
    await limits.reserve(demand(cost_usd=Decimal(1)))
    clock.now += 3_660 * 86_400
    with pytest.raises(BudgetExceededError, match="never renewed"):
        await limits.reserve(demand())


async def test_a_budget_that_runs_low_is_told_once(
    limiter: MakeLimiter, demand: MakeDemand, caplog: pytest.LogCaptureFixture
) -> None:
    """For each tenant by itself."""
    limits = limiter(budgets=[{"tenant": "*", "usd": 1, "warn_at": 0.5}])
    with caplog.at_level(logging.WARNING, logger="avionics"):
        for tenant in ("a", "a", "a", "b"):
            reservation = await limits.reserve(demand(tenant=tenant))
            await reservation.settle(input_tokens=1, output_tokens=1, cost_usd=Decimal("0.3"))
    assert [record.getMessage() for record in caplog.records] == [
        "limits.budgets.0: 60% of 1 USD per month are used for tenant a"
    ]


async def test_the_state_of_a_call_can_be_asked_before_it_is_made(limiter: MakeLimiter, demand: MakeDemand) -> None:
    """Those limits that would count it, whole as they are."""
    limits = limiter(
        rates=[
            {"provider": "openai", "requests_per_minute": 60, "concurrency": 2},
            {"provider": "ollama", "concurrency": 1},
        ],
        budgets=[{"tenant": "*", "usd": 5}],
    )
    assert limits.state() == []
    states = limits.state(demand(tenant="acme"))
    assert [(state.place, state.unit, state.subject, state.left) for state in states] == [
        ("limits.rates.0", "requests", "provider openai", 60),
        ("limits.rates.0", "slots", "provider openai", 2),
        ("limits.budgets.0", "usd", "tenant acme", 5),
    ]


async def test_without_limits_nothing_is_done(demand: MakeDemand) -> None:
    """A limiter of empty settings is false, and its reservations cost nothing."""
    limits = Limiter.from_settings(Settings())
    assert not limits
    async with await limits.reserve(demand()):
        assert limits.state() == []
    await limits.aclose()


@pytest.mark.parametrize(
    "fields",
    [
        {"rates": [{"provider": "a", "concurrency": 1}, {"provider": "a", "concurrency": 2}]},
        {"budgets": [{"usd": 1}, {"usd": 2, "tokens": 5}]},
    ],
    ids=["rates", "budgets"],
)
async def test_two_limits_for_the_same_are_a_mistake(fields: dict[str, Any], make_limits: MakeLimits) -> None:
    """Nobody can tell which of them was meant."""
    with pytest.raises(ConfigurationError, match=r"limits\.\w+\.1: limits the same as limits\.\w+\.0"):
        Limiter(make_limits(**fields))
    Limiter(make_limits(budgets=[{"usd": 1, "per": "day"}, {"usd": 2, "per": "month"}, {"usd": 2, "agent": "*"}]))
