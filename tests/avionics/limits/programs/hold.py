"""Reserves a slot and tokens for a call, says so, and never ends it.

python hold.py STORE PREFIX
"""

from __future__ import annotations

import sys

import anyio

from avionics.llm.limits import Demand, Limiter
from avionics.settings import Settings


async def main(store: str, prefix: str) -> None:
    limits = {
        "rates": [{"concurrency": 1}],
        "budgets": [{"tokens": 100, "per": "total"}],
        "store": store,
        "store_prefix": prefix,
        "store_timeout": 60,
    }
    limiter = Limiter.from_settings(Settings.model_validate({"limits": limits}))
    async with await limiter.reserve(Demand(input_tokens=10, output_tokens=20, cost_usd=None)):
        sys.stdout.write("held\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
