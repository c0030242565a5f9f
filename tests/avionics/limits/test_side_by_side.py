"""Several event loops, several processes: one limit."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest

from avionics.errors import RateLimitExceededError
from avionics.llm.limits import Demand, Limiter
from avionics.llm.limits.store import LEASE
from avionics.settings.calls import LimitsSettings

PROGRAMS = Path(__file__).parent / "programs"

MakeDemand: TypeAlias = Callable[..., Demand]
MakeLimits: TypeAlias = Callable[..., LimitsSettings]


@pytest.mark.timeout(300)  # a process loads for seconds where many run at once
def test_processes_do_not_overspend(
    shared_place: Mapping[str, str], make_limits: MakeLimits, demand: MakeDemand
) -> None:
    """Three of them spend a budget at once: to the last cent, and not one more."""
    store, prefix = shared_place["store"], shared_place.get("store_prefix", "avionics")
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROGRAMS / "spend.py"), store, prefix],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        for process in processes:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        let = [int(process.communicate(timeout=240)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()

    async def spent() -> tuple[Decimal, Decimal]:
        limiter = Limiter(make_limits(budgets=[{"tenant": "*", "usd": 1, "per": "total"}], **shared_place))
        async with await limiter.reserve(demand(tenant="a", cost_usd=Decimal(0))):
            (state,) = limiter.state()
        await limiter.aclose()
        return Decimal(state.spent or 0), Decimal(state.reserved)

    # Of three calls two cost a cent, and one stays reserved for two.
    settled, reserved = anyio.run(spent)
    assert reserved == Decimal("0.02") * sum(count // 3 for count in let)
    assert settled == Decimal("0.01") * sum(count - count // 3 for count in let)
    assert Decimal("0.98") < settled + reserved <= 1


@pytest.mark.timeout(300)
def test_a_killed_process_frees_its_slot_and_keeps_its_budget_counted(
    shared_place: Mapping[str, str], make_limits: MakeLimits, demand: MakeDemand
) -> None:
    """The slot a lease later; what the call may have cost is never given back."""
    store, prefix = shared_place["store"], shared_place.get("store_prefix", "avionics")
    command = [sys.executable, str(PROGRAMS / "hold.py"), store, prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        process.kill()

    async def after(seconds: float) -> tuple[object, ...]:
        limits = make_limits(
            rates=[{"concurrency": 1, "max_wait": 0}], budgets=[{"tokens": 100, "per": "total"}], **shared_place
        )
        limiter = Limiter(limits, clock=lambda: time.time() + seconds)
        async with await limiter.reserve(demand()):
            _slots, tokens = limiter.state()
        await limiter.aclose()
        return tokens.spent, tokens.reserved

    with pytest.raises(RateLimitExceededError):
        anyio.run(after, 0)
    assert anyio.run(after, LEASE) == (0, 60)


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("asyncio", "trio"), ("trio", "trio")], ids="-".join)
def test_event_loops_wake_each_other(backends: tuple[str, str], make_limits: MakeLimits, demand: MakeDemand) -> None:
    """A slot that is given back in one thread goes to a call that waits in another, and so to and fro."""
    limiter = Limiter(make_limits(rates=[{"concurrency": 1, "max_wait": 50}]))
    under_way = 0
    most = 0

    async def take_turns() -> None:
        nonlocal under_way, most
        for _ in range(50):
            async with await limiter.reserve(demand()):
                under_way += 1
                most = max(most, under_way)
                await anyio.lowlevel.checkpoint()
                under_way -= 1

    async def two_tasks() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take_turns)
            tasks.start_soon(take_turns)

    failed: list[BaseException] = []

    def run(backend: str) -> None:
        try:
            anyio.run(two_tasks, backend=backend)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(backend,)) for backend in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert most == 1
    assert [(state.left, state.waiting) for state in limiter.state()] == [(1, 0)]
