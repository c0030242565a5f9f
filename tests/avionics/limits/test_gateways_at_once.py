"""Limits that gateways share: in every store that can be shared, as their calls see it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import anyio
import pytest

from airframe.testing import Answer
from airframe.types import Usage
from avionics.errors import BudgetExceededError
from avionics.settings import PriceRow, Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

PRICE = PriceRow(provider="openai", input_per_million=Decimal(1000), output_per_million=Decimal(1000))
USAGE = Usage(input_tokens=100, output_tokens=10)
BUDGET = Decimal(1)
COST = Decimal("0.110")
MOST_COST = Decimal("0.150")
"""What is held for a call: 100 tokens at most, and the prompt."""


def gateway_over(place: Mapping[str, str]) -> ScriptedGateway:
    settings: dict[str, Any] = {"budgets": [{"tenant": "*", "usd": str(BUDGET), "per": "total"}], **place}
    return ScriptedGateway(
        settings=Settings(llm_provider="openai", limits=settings),
        prices=[PRICE],
        openai=[Answer(text="a", usage=USAGE)] * 50,
    )


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
