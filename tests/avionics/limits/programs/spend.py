"""Spends as much of a budget as it can, and prints how often it was let.

    python spend.py STORE PREFIX

It begins when it is given a line.
"""

from __future__ import annotations

import sys
from decimal import Decimal

import anyio

from avionics.errors import BudgetExceededError
from avionics.llm.limits import Demand, Limiter
from avionics.settings import Settings

CALLS_AT_A_TIME = 4


async def main(store: str, prefix: str) -> None:
    budgets = [{"tenant": "*", "usd": "1", "per": "total"}]
    settings = Settings.model_validate(
        {"limits": {"budgets": budgets, "store": store, "store_prefix": prefix, "store_timeout": 60}}
    )
    limiter = Limiter.from_settings(settings)
    let = 0

    async def spend() -> None:
        nonlocal let
        demand = Demand(tenant="a", input_tokens=1, output_tokens=1, cost_usd=Decimal("0.02"))
        while True:
            try:
                reservation = await limiter.reserve(demand)
            except BudgetExceededError:
                return
            let += 1
            if let % 3:
                await reservation.settle(input_tokens=1, output_tokens=1, cost_usd=Decimal("0.01"))

    async with anyio.create_task_group() as tasks:
        for _ in range(CALLS_AT_A_TIME):
            tasks.start_soon(spend)
    await limiter.aclose()
    sys.stdout.write(f"{let}\n")


if __name__ == "__main__":
    sys.stdin.readline()  # until all are there
    anyio.run(main, sys.argv[1], sys.argv[2])
