"""What users test with: prices, fallback, budgets and scripts, end to end through the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeAlias

import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import Usage
from avionics.errors import QuotaExceededError
from avionics.llm import LLMResponse
from avionics.settings import PriceRow
from avionics.testing import ScriptedGateway, ScriptedQuota

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[LLMResponse]]

USAGE = Usage(input_tokens=1000, output_tokens=10)
PRICES = [
    PriceRow(provider="openai", model="*", input_per_million=Decimal(2), output_per_million=Decimal("8.5")),
    PriceRow(provider="anthropic", model="*", input_per_million=Decimal(3), output_per_million=Decimal(15)),
]


async def test_made_up_prices_are_what_calls_cost(ask: Ask) -> None:
    """A call costs what the test's price list says, whatever the vendor takes."""
    async with ScriptedGateway(prices=PRICES, openai=[Answer(text="a", usage=USAGE)]) as gateway:
        assert (await ask(gateway)).cost_usd == Decimal("0.002085")
    assert gateway.spent == Decimal("0.002085")


async def test_a_fallback_is_paid_by_its_own_price(ask: Ask) -> None:
    """What the failed attempt cost is part of what was spent."""
    gateway = ScriptedGateway(
        prices=PRICES,
        openai=[Failure(ErrorCategory.OVERLOADED, usage=Usage(input_tokens=1000, output_tokens=0))],
        anthropic=[Answer(text="a", usage=USAGE)],
    )
    async with gateway:
        assert (await ask(gateway)).provider == "anthropic"
    assert gateway.spent == Decimal("0.002") + Decimal("0.00315")


async def test_a_price_that_is_not_on_the_list_is_unknown(ask: Ask) -> None:
    """A model that nobody knows has no price; what runs here is free, and what a backend reports wins."""
    reported = Answer(text="a", usage=USAGE, reported_cost=Decimal("0.5"))
    async with ScriptedGateway(model="own", openai=[Answer(text="a", usage=USAGE), reported]) as gateway:
        assert (await ask(gateway)).cost_usd is None
        assert gateway.spent is None
        assert (await ask(gateway)).cost_usd == Decimal("0.5")
    async with ScriptedGateway(model="own", llamaserver=[Answer(text="a", usage=USAGE)]) as gateway:
        assert (await ask(gateway)).cost_usd == Decimal(0)


async def test_a_quota_that_objects_stops_the_call(ask: Ask) -> None:
    """The quota is asked before and told after, and a reason given before sends nothing."""
    quota = ScriptedQuota([None, None, "the month is over"])
    async with ScriptedGateway(quota=quota, openai=[Answer(text="a", usage=USAGE)]) as gateway:
        await ask(gateway)
        with pytest.raises(QuotaExceededError, match="the month is over"):
            await ask(gateway)
    assert quota.asked[1] == (1000, 10)
    assert len(gateway.asked("openai")) == 1


async def test_a_script_that_is_left_names_its_provider(ask: Ask) -> None:
    """Leaving the gateway fails when somebody was not asked who should have been."""
    gateway = ScriptedGateway(openai=[Answer(text="a")], anthropic=[Answer(text="b")])
    await ask(gateway)
    with pytest.raises(AssertionError, match="anthropic: the script was not played to its end: 1 of 1"):
        await gateway.__aexit__(None, None, None)


async def test_an_error_in_the_block_is_not_hidden(ask: Ask) -> None:
    """What is left is not complained about when something else went wrong."""
    with pytest.raises(ZeroDivisionError):
        async with ScriptedGateway(openai=[Answer(text="a")]):
            raise ZeroDivisionError
