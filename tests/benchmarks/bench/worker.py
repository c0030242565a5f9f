"""A process that runs one client: `python -m bench.worker CLIENT URL`.

It reads orders from its input, a JSON line each, and answers each with a line of figures. It runs in the environment of
the client, so that it needs the standard library and that client only.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
from collections.abc import Awaitable, Iterable
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any

from bench.clients import CLIENTS, Client
from bench.clients.client import Turn
from bench.scenarios import Scenario

__all__ = ["Figures", "main"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a client showed.

    Attributes:
        cpu: microseconds of CPU for a unit of the scenario.
        memory: the most that the process has held so far, in MB.
        late: within how many milliseconds 99 % of the events were there, once all streams stood; None if nobody looked.
    """

    cpu: float
    memory: float
    late: float | None


def cpu_microseconds() -> float:
    """What this process has used, in user code and in the kernel."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


async def measure(client: Client[Any], scenario: Scenario, repeats: int) -> Figures:
    """Go through `scenario`. Raises `RuntimeError` for a client that left some of the answer."""
    messages = client.messages([*_history(scenario.turns), ("user", scenario.question)])
    to_first_event = 0.0
    delays: list[float] = []

    async def call() -> int:
        nonlocal to_first_event
        if not scenario.streamed:
            return await client.answer(messages)
        if scenario.fresh and (seconds := await client.delays(messages)) is not None:
            delays.extend(seconds[len(seconds) // 2 :])  # before, connections are made
            return len(seconds)
        first = begun = cpu_microseconds()

        def heard() -> None:
            nonlocal first
            first = cpu_microseconds()

        size = await client.stream(messages, heard)
        to_first_event += first - begun
        return size

    gc.collect()
    gc.freeze()  # what other scenarios left behind, such as 500 idle connections, is not looked at again in this one
    begun = cpu_microseconds()
    for _ in range(repeats):
        read = await (call() if scenario.at_once == 1 else _smallest(call() for _ in range(scenario.at_once)))
        if read < scenario.size:
            raise RuntimeError(f"{scenario.name}: only {read} were read")
    used = to_first_event if scenario.unit == "first event" else cpu_microseconds() - begun
    return Figures(
        cpu=used / (scenario.units * repeats),
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        late=quantiles(delays, n=100)[-1] * 1000 if delays else None,
    )


def _history(turns: int) -> list[Turn]:
    return [("user" if turn % 2 == 0 else "assistant", f"turn {turn}: {'word ' * 20}") for turn in range(turns)]


async def _smallest(calls: Iterable[Awaitable[int]]) -> int:
    return min(await asyncio.gather(*calls))


async def main(name: str, url: str) -> None:
    """Take orders until there are no more."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # some libraries print
    make = CLIENTS[name].load()
    # One for each scenario: idle connections of another one would weigh on httpx's pool.
    clients: dict[Scenario, Client[Any]] = {}
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            scenario = Scenario(**json.loads(line))
            if scenario not in clients:
                clients[scenario] = make(url, scenario.connections)
                if not scenario.fresh:
                    await measure(clients[scenario], scenario, 1)
            figures = await measure(clients[scenario], scenario, scenario.repeats)
            print(json.dumps(asdict(figures)), file=channel, flush=True)
    finally:
        for client in clients.values():
            await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
