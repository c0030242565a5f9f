"""Who waits, for how long, in which order, and who does not. Time is virtual: nobody really waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from airframe.testing.virtual_time import VIRTUAL_BACKENDS, virtual_backend
from airframe.types import RateLimit
from avionics.errors import RateLimitExceededError
from avionics.llm.limits import Demand, Limiter, Reservation
from avionics.settings.calls import LimitsSettings

pytestmark = pytest.mark.anyio

NOON = 2_079_086_400.0  # 2035-11-19 12:00 UTC

MakeLimits: TypeAlias = Callable[..., LimitsSettings]
MakeDemand: TypeAlias = Callable[..., Demand]


@pytest.fixture(params=VIRTUAL_BACKENDS, ids=str)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Event loops whose time jumps."""
    return virtual_backend(request.param)


@pytest.fixture
def limited(make_limits: MakeLimits) -> Callable[..., Limiter]:
    """Makes a limiter with one rate; arguments are its fields."""

    def made(**rate: Any) -> Limiter:
        return Limiter(make_limits(rates=[rate]), clock=lambda: NOON + anyio.current_time())

    return made


Limited: TypeAlias = Callable[..., Limiter]


class Callers:
    """Calls that reserve side by side; says who was let through when."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.came: list[tuple[str, float]] = []
        self.held: dict[str, Reservation] = {}
        self.refused: dict[str, RateLimitExceededError] = {}
        self.started = anyio.current_time()

    async def call(self, name: str, demand: Demand, **options: Any) -> None:
        try:
            self.held[name] = await self.limiter.reserve(demand, **options)
        except RateLimitExceededError as error:
            self.refused[name] = error
        else:
            self.came.append((name, round(anyio.current_time() - self.started, 3)))

    @property
    def names(self) -> Sequence[str]:
        return [name for name, _ in self.came]


async def settled() -> None:
    """All that can happen without time passing has happened."""
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


async def test_calls_are_spread_by_the_rate(limited: Limited, demand: MakeDemand) -> None:
    """Of five at sixty a minute without a burst, one goes each second, in the order in which they came."""
    callers = Callers(limited(provider="openai", requests_per_minute=60, burst=0.01))
    async with anyio.create_task_group() as tasks:
        for name in "abcde":
            tasks.start_soon(callers.call, name, demand())
            await settled()
    assert callers.came == [("a", 0), ("b", 1), ("c", 2), ("d", 3), ("e", 4)]


async def test_a_call_that_would_wait_too_long_fails_at_once(limited: Limited, demand: MakeDemand) -> None:
    """It says when there may be room, and names the limit."""
    limiter = limited(provider="*", requests_per_minute=2, max_wait=29)
    await limiter.reserve(demand())
    await limiter.reserve(demand())
    with pytest.raises(
        RateLimitExceededError, match=r"limits\.rates\.0 \(2 requests per minute for provider openai\)"
    ) as caught:
        await limiter.reserve(demand())
    assert anyio.current_time() == 0
    assert (caught.value.retry_after, caught.value.provider, caught.value.model) == (30, "openai", "m")
    await limiter.reserve(demand(provider="anthropic"))


async def test_a_deadline_holds_beside_the_longest_wait(limited: Limited, demand: MakeDemand) -> None:
    """The one that ends first counts."""
    limiter = limited(requests_per_minute=1)
    await limiter.reserve(demand())
    with pytest.raises(RateLimitExceededError):
        await limiter.reserve(demand(), deadline=anyio.current_time() + 59)
    await limiter.reserve(demand(), deadline=anyio.current_time() + 60)
    assert anyio.current_time() == pytest.approx(60)


async def test_a_slot_is_waited_for_as_long_as_allowed(limited: Limited, demand: MakeDemand) -> None:
    """Nobody knows when one is given back, so the wait ends with an error."""
    callers = Callers(limited(concurrency=1, max_wait=7))
    await callers.call("a", demand())
    await callers.call("b", demand())
    assert anyio.current_time() == 7
    assert callers.refused["b"].retry_after is None


async def test_who_came_first_goes_first(limited: Limited, demand: MakeDemand) -> None:
    """Each slot that is given back goes to who waits longest, at once."""
    callers = Callers(limited(concurrency=2))
    async with anyio.create_task_group() as tasks:
        for name in "abcdef":
            tasks.start_soon(callers.call, name, demand())
            await settled()
        for name in "abcd":
            await callers.held[name].settle(input_tokens=1, output_tokens=1, cost_usd=None)
            await settled()
    assert callers.came == [(name, 0) for name in "abcdef"]


async def test_a_higher_priority_goes_first(limited: Limited, demand: MakeDemand) -> None:
    """Whoever came before with a lower one waits on; among equals the order holds."""
    callers = Callers(limited(concurrency=1))
    async with anyio.create_task_group() as tasks:
        await callers.call("a", demand())
        for name, priority in (("low", 0), ("high", 5), ("later", 5), ("lowest", -1)):
            tasks.start_soon(partial(callers.call, name, demand(), priority=priority))
            await settled()
        for name in ("a", "high", "later", "low"):
            await callers.held[name].release()
            await settled()
    assert callers.names == ["a", "high", "later", "low", "lowest"]


async def test_nobody_passes_a_large_call_that_waits(limited: Limited, demand: MakeDemand) -> None:
    """Small calls that would fit do not starve it."""
    callers = Callers(limited(tokens_per_minute=6000))
    await callers.call("first", demand(input_tokens=6000, output_tokens=0))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(callers.call, "large", demand(input_tokens=3000, output_tokens=0))
        await settled()
        await anyio.sleep(2)
        tasks.start_soon(callers.call, "small", demand(input_tokens=100, output_tokens=0))
    assert callers.came == [("first", 0), ("large", 30), ("small", 31)]


async def test_those_who_wait_elsewhere_are_passed(make_limits: MakeLimits, demand: MakeDemand) -> None:
    """A tenant at its own limit does not hold up the others at the provider's, where there is room."""
    rates = [{"tenant": "*", "concurrency": 1}, {"provider": "*", "concurrency": 3}]
    callers = Callers(Limiter(make_limits(rates=rates), clock=lambda: NOON + anyio.current_time()))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(callers.call, "busy", demand(tenant="a"))
        await settled()
        tasks.start_soon(callers.call, "waits", demand(tenant="a"))
        await settled()
        await callers.call("other", demand(tenant="b"))
        assert callers.came == [("busy", 0), ("other", 0)]
        await callers.held["busy"].release()


async def test_who_begins_to_wait_elsewhere_is_passed(make_limits: MakeLimits, demand: MakeDemand) -> None:
    """One that waits for a tenant and a provider is in nobody's way at the tenant's any more, once there is room."""
    rates = [{"tenant": "*", "concurrency": 1}, {"provider": "*", "concurrency": 1}]
    callers = Callers(Limiter(make_limits(rates=rates), clock=lambda: NOON + anyio.current_time()))
    await callers.call("tenant", demand(tenant="a", provider="p"))
    await callers.call("provider", demand(tenant="b", provider="q"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(callers.call, "both", demand(tenant="a", provider="q"))
        await settled()
        tasks.start_soon(callers.call, "behind", demand(tenant="a", provider="r"))
        await settled()
        await callers.held["tenant"].release()
        await settled()
        assert callers.names == ["tenant", "provider", "behind"]
        await callers.held["behind"].release()
        await callers.held["provider"].release()
    assert callers.came[-1] == ("both", 0)


async def test_the_line_is_bounded(limited: Limited, demand: MakeDemand) -> None:
    """One call too many fails at once, and says so."""
    callers = Callers(limited(concurrency=1, max_queue=2))
    async with anyio.create_task_group() as tasks:
        for name in "abcd":
            tasks.start_soon(callers.call, name, demand())
            await settled()
        assert "2 calls wait already" in str(callers.refused["d"])
        assert [state.waiting for state in callers.limiter.state()] == [2]
        for name in "ab":
            await callers.held[name].release()
            await settled()
    assert callers.came == [(name, 0) for name in "abc"]


async def test_a_cancelled_waiter_leaves_no_trace(limited: Limited, demand: MakeDemand) -> None:
    """Whoever stood behind it moves up at once, and nothing of it is counted."""
    callers = Callers(limited(requests_per_minute=60, tokens_per_minute=60))
    await callers.call("first", demand(input_tokens=60, output_tokens=0))
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as cancelled:
        cancelled.start_soon(callers.call, "gone", demand(input_tokens=50, output_tokens=0))
        await settled()
        tasks.start_soon(callers.call, "behind", demand(input_tokens=5, output_tokens=0))
        await anyio.sleep(10)
        assert callers.names == ["first"]
        cancelled.cancel_scope.cancel()
    assert callers.came == [("first", 0), ("behind", 10)]
    assert {state.waiting for state in callers.limiter.state()} == {0}
    await callers.call("next", demand(input_tokens=5, output_tokens=0))
    assert callers.came[-1] == ("next", 10)


async def test_a_dropped_reservation_frees_its_slot(limited: Limited, demand: MakeDemand) -> None:
    """A task that crashed without a word does not block the others for ever."""
    callers = Callers(limited(concurrency=1))
    await callers.call("a", demand())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(callers.call, "b", demand())
        await settled()
        del callers.held["a"]
    assert callers.names == ["a", "b"]


async def test_a_reached_limit_of_the_provider_is_waited_for(limited: Limited, demand: MakeDemand) -> None:
    """When headers say that no request remains, the next call is sent when the limit is new."""
    callers = Callers(limited(requests_per_minute=600))
    callers.limiter.learn("openai", "m", RateLimit(remaining_requests=0, reset_requests=12.0))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(callers.call, "waits", demand())
        tasks.start_soon(callers.call, "other", demand(model="other"))
    assert callers.came == [("other", 0), ("waits", 12)]


async def test_a_call_counts_against_what_remains(limited: Limited, demand: MakeDemand) -> None:
    """Of two that remain, two are sent; the third waits, until an answer says better."""
    callers = Callers(limited(requests_per_minute=600))
    callers.limiter.learn("openai", "m", RateLimit(remaining_requests=2, reset_requests=50.0))
    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(callers.call, name, demand())
            await settled()
        await anyio.sleep(5)
        callers.limiter.learn("openai", "m", RateLimit(remaining_requests=7, reset_requests=50.0))
    assert callers.came == [("a", 0), ("b", 0), ("c", 5)]


async def test_a_prompt_larger_than_what_remains_is_kept_back(make_limits: MakeLimits, demand: MakeDemand) -> None:
    """With no limit of our own, too; a smaller one is sent."""
    limiter = Limiter(make_limits(), clock=lambda: NOON + anyio.current_time())
    assert not limiter
    limiter.learn("openai", "m", RateLimit(remaining_tokens=100, reset_tokens=30.0))
    assert limiter
    callers = Callers(limiter)
    await callers.call("small", demand(input_tokens=60, output_tokens=5000))
    await callers.call("large", demand(input_tokens=60, output_tokens=0))
    assert callers.came == [("small", 0), ("large", 30)]
    assert not limiter


async def test_a_pause_that_is_asked_for_is_kept(make_limits: MakeLimits, demand: MakeDemand) -> None:
    """`retry_after` holds whatever older answers say; one of hours fails the call at once, and tells it."""
    limiter = Limiter(make_limits(), clock=lambda: NOON + anyio.current_time())
    limiter.learn("openai", "m", None, retry_after=20)
    limiter.learn("openai", "m", RateLimit(remaining_requests=5, reset_requests=1.0))
    await limiter.reserve(demand())
    assert anyio.current_time() == pytest.approx(20)
    limiter.learn("openai", "m", None, retry_after=7200)
    with pytest.raises(RateLimitExceededError, match="the provider's own limit") as caught:
        await limiter.reserve(demand())
    assert caught.value.retry_after == pytest.approx(3600)


async def test_what_a_provider_says_widens_nothing(limited: Limited, demand: MakeDemand) -> None:
    """A thousand remaining requests there are still two here."""
    callers = Callers(limited(requests_per_minute=2, max_wait=0))
    callers.limiter.learn("openai", "m", RateLimit(limit_requests=1000, remaining_requests=1000, reset_requests=1.0))
    for name in "abc":
        await callers.call(name, demand())
    assert callers.names == ["a", "b"]


async def test_learning_can_be_turned_off(make_limits: MakeLimits, demand: MakeDemand) -> None:
    """Then headers say nothing."""
    limiter = Limiter(make_limits(learn=False), clock=lambda: NOON + anyio.current_time())
    limiter.learn("openai", "m", RateLimit(remaining_requests=0, reset_requests=12.0), retry_after=5)
    assert not limiter
    await limiter.reserve(demand())
    assert anyio.current_time() == 0
