"""Rates and budgets in front of calls: what is held, what is settled, and who is asked when a limit is reached."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, TypeAlias

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import Usage
from avionics.errors import AllAttemptsFailedError, BudgetExceededError, LLMError, RateLimitExceededError
from avionics.llm import LLMGateway, LLMResponse, MockProvider, registry
from avionics.settings import PriceRow, Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[LLMResponse]]

USAGE = Usage(input_tokens=100, output_tokens=10)
PRICE = PriceRow(provider="openai", input_per_million=Decimal(1000), output_per_million=Decimal(1000))
CALL_COST = Decimal("0.110")


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, object]:
    """Event loops on which time jumps."""
    return virtual_backend(request.param)


def gateway_of(limits: dict[str, Any], **scripts: list[Step]) -> ScriptedGateway:
    first, *others = scripts
    providers = {
        name: {"kind": "openai_compatible", "base_url": "http://mock.invalid"} for name in {"unpriced"} & {*scripts}
    }
    settings = Settings(llm_provider=first, llm_fallback_providers=others, limits=limits, providers=providers)
    named: dict[str, Any] = dict(scripts)
    return ScriptedGateway(settings=settings, clock=LoopClock(), prices=[PRICE], **named)


def left(gateway: ScriptedGateway) -> list[Decimal | int]:
    return [state.left for state in gateway.limits()]


async def test_a_budget_is_reserved_and_settled(ask: Ask) -> None:
    """After the call it has lost what the call cost, not what it might have cost."""
    gateway = gateway_of({"budgets": [{"usd": 10, "per": "total"}]}, openai=[Answer(text="a", usage=USAGE)])
    await ask(gateway)
    assert left(gateway) == [10 - CALL_COST]


async def test_a_spent_budget_stops_the_next_call_before_anything_is_sent(ask: Ask) -> None:
    """The error names the budget."""
    gateway = gateway_of({"budgets": [{"usd": "4.2", "per": "total"}]}, openai=[Answer(text="a", usage=USAGE)] * 2)
    await ask(gateway)
    with pytest.raises(BudgetExceededError, match=r"limits\.budgets"):
        await ask(gateway)
    assert len(gateway.asked("openai")) == 1
    assert len(gateway.recorder.finished) == 1


async def test_calls_at_once_cannot_overspend() -> None:
    """Each holds what it may cost, so fewer are let in than would fit by what they cost in the end."""
    answers: list[Step] = [Answer(text="a", usage=USAGE, delay=1)] * 10
    gateway = gateway_of({"budgets": [{"usd": 1, "per": "total"}]}, openai=answers)
    refused: list[LLMError] = []

    async def call() -> None:
        try:
            await gateway.complete("Why?", max_tokens=300)
        except BudgetExceededError as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(call)
    assert gateway.spent is not None
    assert gateway.spent <= 1
    assert 0 < len(refused) < 10


async def test_what_was_not_billed_is_given_back(ask: Ask) -> None:
    """A refused request costs nothing."""
    gateway = gateway_of({"budgets": [{"usd": 10, "per": "total"}]}, openai=[Failure(ErrorCategory.OVERLOADED)])
    with pytest.raises(LLMError):
        await ask(gateway)
    assert left(gateway) == [10]


async def test_a_forgotten_stream_is_settled_at_the_next_occasion() -> None:
    """What it said until then was paid for."""
    gateway = gateway_of(
        {"budgets": [{"usd": 10, "per": "total"}]},
        openai=[Answer(chunks=["a"] * 100), Answer(text="b", usage=USAGE)],
    )
    async for _ in gateway.complete_stream("Why?"):
        break
    gc.collect()
    await gateway.complete("Why?")
    spent = gateway.spent
    assert spent is not None
    assert spent > CALL_COST
    assert left(gateway) == [10 - spent]


async def test_when_the_budget_of_one_provider_is_spent_the_next_is_asked(ask: Ask) -> None:
    """The refusal is among the causes only if all fail."""
    gateway = gateway_of(
        {"budgets": [{"provider": "openai", "usd": "0.001", "per": "total"}]},
        openai=[],
        llamaserver=[Answer(text="local")],
    )
    assert (await ask(gateway)).provider == "llamaserver"
    gateway = gateway_of(
        {"budgets": [{"provider": "openai", "usd": "0.001", "per": "total"}]},
        openai=[],
        llamaserver=[Failure(ErrorCategory.SERVER)],
    )
    with pytest.raises(AllAttemptsFailedError) as caught:
        await ask(gateway)
    assert isinstance(caught.value.causes[0], BudgetExceededError)


async def test_a_fallback_without_a_known_price_is_not_asked_on_a_budget(ask: Ask) -> None:
    """The primary, whose price is known, is; the fallback's refusal names the budget."""
    gateway = gateway_of(
        {"budgets": [{"usd": 10, "per": "total"}]},
        openai=[Answer(text="a", usage=USAGE), Failure(ErrorCategory.SERVER)],
        unpriced=[],
    )
    assert (await ask(gateway)).text == "a"
    with pytest.raises(AllAttemptsFailedError) as caught:
        await ask(gateway)
    assert isinstance(caught.value.causes[1], BudgetExceededError)


async def test_a_budget_that_is_spent_leaves_what_costs_nothing(ask: Ask) -> None:
    """Of whomever it is: the dear one is passed over, and one's own hardware answers."""
    budget = {"usd": "0.001", "per": "total"}
    gateway = gateway_of({"budgets": [budget]}, openai=[], llamaserver=[Answer(text="local", usage=USAGE)])
    assert (await ask(gateway)).text == "local"


async def test_where_all_are_too_dear_the_error_names_the_budget(ask: Ask) -> None:
    """One error, and nothing is sent."""
    gateway = gateway_of({"budgets": [{"usd": "0.001", "per": "total"}]}, openai=[], azure=[])
    with pytest.raises(BudgetExceededError, match=r"limits\.budgets"):
        await ask(gateway)


async def test_a_rate_lets_calls_wait() -> None:
    """Sixty a minute with a burst of one: the third call ends two seconds after the first."""
    rate = {"agent": "*", "requests_per_minute": 60, "burst": 1 / 60}
    gateway = gateway_of({"rates": [rate]}, openai=[Answer(text="a", usage=USAGE)] * 3)
    began = anyio.current_time()
    for _ in range(3):
        await gateway.complete("Why?", agent_name="planner", timeout=30)
    assert anyio.current_time() - began == pytest.approx(2)


async def test_a_rate_of_one_provider_is_waited_for_by_the_last_only() -> None:
    """As long as there is somebody else, nobody waits."""
    rate = {"provider": "openai", "requests_per_minute": 1, "max_wait": 0}
    gateway = gateway_of({"rates": [rate]}, openai=[Answer(text="a", usage=USAGE)], llamaserver=[Answer(text="local")])
    assert [(await gateway.complete("Why?")).provider for _ in range(2)] == ["openai", "llamaserver"]
    alone = gateway_of({"rates": [rate]}, openai=[Answer(text="a", usage=USAGE)])
    await alone.complete("Why?")
    with pytest.raises(RateLimitExceededError):
        await alone.complete("Why?")


async def test_slots_are_given_back_on_every_path(ask: Ask) -> None:
    """After an answer, a failure and a cancellation the next call has its slot."""
    gateway = gateway_of(
        {"rates": [{"concurrency": 1, "max_wait": 0}]},
        openai=[Answer(text="a"), Failure(ErrorCategory.SERVER), Answer(text="late", delay=60), Answer(text="b")],
    )
    assert (await ask(gateway)).text == "a"
    with pytest.raises(LLMError):
        await ask(gateway)
    with anyio.move_on_after(1):
        await ask(gateway)
    assert (await ask(gateway)).text == "b"


async def test_a_hedged_call_counts_both_attempts() -> None:
    """The loser was paid for, too."""
    settings = Settings(
        agents={"default": {"route": "r"}},
        routing={
            "routes": {"r": {"deployments": [{"provider": "openai"}, {"provider": "other"}], "hedge": {"after": 1}}}
        },
        providers={"other": {"kind": "mock"}},
        limits={"budgets": [{"tokens": 100_000, "per": "total"}]},
    )
    slow, fast = [Answer(text="late", delay=60)], [Answer(text="a", delay=1, usage=USAGE)]
    gateway = ScriptedGateway(settings=settings, clock=LoopClock(), prices=[PRICE], openai=slow, other=fast)
    await gateway.complete("Why?", max_tokens=10)
    attempts = gateway.recorder.end.attempts
    used = sum((each.usage.input_tokens or 0) + (each.usage.output_tokens or 0) for each in attempts if each.usage)
    assert len(attempts) == 2
    assert left(gateway) == [100_000 - used]


async def test_what_a_refusal_says_holds_for_the_model_however_it_is_named() -> None:
    """A snapshot and its model are one quota; another model has its own."""
    gateway = gateway_of(
        {}, openai=[Failure(ErrorCategory.RATE_LIMIT, retry_after=30), Answer(text="other"), Answer(text="a")]
    )
    with pytest.raises(LLMError):
        await gateway.complete("Why?", model="gpt-4.1-mini-2025-04-14")
    assert (await gateway.complete("Why?", model="gpt-4.1")).text == "other"
    began = anyio.current_time()
    assert (await gateway.complete("Why?", model="gpt-4.1-mini-2025-04-14")).text == "a"
    assert anyio.current_time() - began == pytest.approx(30)


async def test_a_fallback_whose_maker_has_a_bug_is_no_trouble_for_a_limited_call(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made when its turn comes, and that never does."""

    def broken(_settings: Settings) -> MockProvider:
        raise ZeroDivisionError

    monkeypatch.setattr(registry, "_registered", {"broken": broken})
    settings = Settings(llm_provider="openai", limits={"budgets": [{"usd": 10, "per": "total"}]})
    provider = MockProvider([Answer(text="a", usage=USAGE)], name="openai", default_model="gpt-4.1-mini")
    gateway = LLMGateway(settings, fallback_providers=["broken"], observers=[], providers={"openai": provider})
    assert (await ask(gateway)).text == "a"


async def test_a_call_is_counted_once_also_where_its_price_is_unknown(ask: Ask) -> None:
    """What is held for the call is for its exchange, and the next one has its room."""
    rate = {"requests_per_minute": 2, "burst": 1, "concurrency": 1, "max_wait": 0}
    gateway = gateway_of({"rates": [rate]}, unpriced=[Answer(text="a")] * 2)
    assert [(await ask(gateway)).text for _ in range(2)] == ["a", "a"]
    with pytest.raises(RateLimitExceededError):
        await ask(gateway)


async def test_a_refusal_for_one_provider_gives_back_what_was_held_for_the_call(ask: Ask) -> None:
    """The next one is asked with it, and afterwards nothing is held."""
    budgets = [{"tokens": 5000, "per": "total"}, {"provider": "openai", "usd": "0.001", "per": "total"}]
    gateway = gateway_of({"budgets": budgets}, openai=[], llamaserver=[Answer(text="local", usage=USAGE)])
    assert (await ask(gateway)).text == "local"
    (state,) = [each for each in gateway.limits() if each.limit == 5000]
    assert (state.reserved, state.left) == (0, 5000 - 110)


async def test_a_refusal_gives_the_place_back(ask: Ask) -> None:
    """The next call is refused for the same reason, not for want of a place."""
    settings = Settings(
        llm_provider="openai",
        routing={"concurrency": {"adaptive": True, "start": 1, "most": 1}},
        limits={"budgets": [{"provider": "openai", "usd": "0.001", "per": "total"}]},
    )
    gateway = ScriptedGateway(settings=settings, clock=LoopClock(), prices=[PRICE], openai=[])
    for _ in range(2):
        with pytest.raises(BudgetExceededError):
            await ask(gateway)
