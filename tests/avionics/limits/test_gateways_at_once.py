"""Limits that gateways share: in every store that can be shared, as their calls see it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from airframe.testing import Answer, Step
from airframe.testing.virtual_time import LoopClock
from airframe.types import Usage
from avionics.errors import BudgetExceededError
from avionics.llm import LLMGateway
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.prices import PriceTable
from avionics.llm.providers import MockProvider
from avionics.settings import PriceRow, Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

PRICE = PriceRow(provider="openai", input_per_million=Decimal(1000), output_per_million=Decimal(1000))
USAGE = Usage(input_tokens=100, output_tokens=10)
BUDGET = Decimal(1)
COST = Decimal("0.110")
MOST_COST = Decimal("0.150")
"""What is held for a call: 100 tokens at most, and the prompt."""


def settings_of(place: Mapping[str, str]) -> Settings:
    limits: dict[str, Any] = {"budgets": [{"tenant": "*", "usd": str(BUDGET), "per": "total"}], **place}
    return Settings(llm_provider="openai", limits=limits)


def gateway_over(place: Mapping[str, str], *, answers: int = 50) -> ScriptedGateway:
    script: list[Step] = [Answer(text="a", usage=USAGE)] * answers
    return ScriptedGateway(settings=settings_of(place), prices=[PRICE], openai=script)


async def test_two_gateways_cannot_overspend_a_budget_together(shared_place: Mapping[str, str]) -> None:
    """Calls at once, through both, for two tenants: each tenant keeps to its own."""
    gateways = [gateway_over(shared_place), gateway_over(shared_place)]
    refused: list[str] = []

    async def call(gateway: ScriptedGateway, tenant: str) -> None:
        try:
            await gateway.complete("Why?", tenant=tenant, max_tokens=100)
        except BudgetExceededError:
            refused.append(tenant)

    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(call, gateways[number % 2], "ab"[number // 2 % 2])
    for tenant in "ab":
        assert 0 < refused.count(tenant) < 20
        tries = refused.count(tenant)
        while refused.count(tenant) == tries:
            await call(gateways[0], tenant)
        spent = sum(COST for each in gateways for start in each.recorder.started if start.tenant == tenant)
        assert BUDGET - MOST_COST < spent <= BUDGET  # so nothing is held any more
    for gateway in gateways:
        await gateway.aclose()


async def test_a_call_that_is_cancelled_is_settled_nevertheless(shared_place: Mapping[str, str]) -> None:
    """Other gateways see what it spent, and that nothing is held for it any more."""
    late = [Answer(text="late", delay=3600)]
    provider = MockProvider(late, name="openai", default_model="gpt-4.1-mini", clock=LoopClock())
    prices = CostCalculator(PriceTable([PRICE]))
    slow = LLMGateway(settings_of(shared_place), observers=[], providers={"openai": provider}, cost_calculator=prices)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(slow.complete, "Why?", tenant="a", max_tokens=100))
        while not provider.script.calls:
            await checkpoint()
        tasks.cancel_scope.cancel()
    await slow.aclose()
    async with gateway_over(shared_place, answers=1) as other:
        await other.complete("Why?", tenant="a", max_tokens=100)
        (state,) = other.limits()
    assert state.reserved == 0
