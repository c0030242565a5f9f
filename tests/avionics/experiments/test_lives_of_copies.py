"""Copies and event loops: a copy outlives the task that called, and nothing of it outlives its event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from airframe.testing import Answer
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import Usage
from avionics.llm.sync import SyncGateway
from avionics.settings import PriceRow, Settings
from avionics.testing import ScriptedGateway

BACKENDS = ("asyncio", "trio")
ANSWER = Answer(text="a", usage=Usage(input_tokens=1000, output_tokens=100))
NEVER = 10.0**9


def shadowed(
    copies: int = 1,
    *,
    delay: float = 0.0,
    clock: LoopClock | None = None,
    price: Decimal = Decimal(0),
    limits: Mapping[str, object] | None = None,
    **shadow: Any,
) -> ScriptedGateway:
    """A gateway whose calls are copied to openai, which takes its time. Prices are USD for a million tokens."""
    variants = [{"name": "control"}, {"name": "other", "weight": 0, "provider": "openai"}]
    settings = Settings(
        llm_provider="llamaserver",
        experiments={"e": {"variants": variants, "shadow": {"to": "other", "share": 1, "timeout": NEVER, **shadow}}},
        limits=limits or {},
    )
    return ScriptedGateway(
        settings=settings,
        clock=clock,
        prices=[PriceRow(provider="openai", input_per_million=Decimal(0), output_per_million=price)],
        llamaserver=[ANSWER] * 50,
        openai=[replace(ANSWER, delay=delay)] * copies,
    )


def outcomes(gateway: ScriptedGateway) -> list[tuple[str | None, str]]:
    """Of each call that is over: by whom it was answered, and how it ended."""
    return [(end.provider, end.outcome) for end in gateway.recorder.finished]


def on_virtual_time(backend: str, test: Callable[[], Awaitable[None]]) -> None:
    name, options = virtual_backend(backend)
    anyio.run(test, backend=name, backend_options=dict(options))


@pytest.mark.parametrize("backend", VIRTUAL_BACKENDS)
def test_a_copy_outlives_the_task_that_called(backend: str) -> None:
    """Who is cancelled after the call, or ends, does not end the copy."""

    async def test() -> None:
        gateway = shadowed(delay=100, clock=LoopClock())
        async with anyio.create_task_group() as callers:
            await gateway.complete("Why?")
            callers.cancel_scope.cancel()
        await anyio.sleep(101)
        assert outcomes(gateway) == [("llamaserver", "success"), ("openai", "success")]

    on_virtual_time(backend, test)


@pytest.mark.parametrize("backend", VIRTUAL_BACKENDS)
def test_closing_waits_for_copies_that_end_in_time(backend: str) -> None:
    """And no longer than it takes; a gateway that is closed may be used again."""

    async def test() -> None:
        gateway = shadowed(2, delay=3, clock=LoopClock(), patience=7)
        for _ in range(2):
            began = anyio.current_time()
            await gateway.complete("Why?")
            await gateway.aclose()
            assert anyio.current_time() - began == pytest.approx(3, abs=0.5)
        assert gateway.shadow_stats()["e"].answered == 2

    on_virtual_time(backend, test)


@pytest.mark.parametrize("backend", VIRTUAL_BACKENDS)
def test_closing_that_is_cancelled_leaves_no_copy_behind(backend: str) -> None:
    """It ends them at once, and they are on record."""

    async def test() -> None:
        gateway = shadowed(delay=NEVER, clock=LoopClock(), patience=NEVER)
        await gateway.complete("Why?")
        began = anyio.current_time()
        with anyio.move_on_after(2) as scope:
            await gateway.aclose()
        assert scope.cancelled_caught
        assert anyio.current_time() - began == 2
        assert outcomes(gateway) == [("llamaserver", "success"), ("openai", "cancelled")]

    on_virtual_time(backend, test)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("later", [False, True], ids=["not begun", "under way"])
def test_an_event_loop_takes_its_copies_along(backend: str, later: bool) -> None:
    """Also those that had not begun: their places are free for the next event loop."""
    gateway = shadowed(3, delay=NEVER, clock=LoopClock(), concurrency=1, patience=0)

    async def call() -> None:
        await gateway.complete("Why?")
        if later:
            await anyio.wait_all_tasks_blocked()

    for _ in range(3):
        anyio.run(call, backend=backend)
    assert gateway.shadow_stats()["e"].crowded_out == 0
    assert outcomes(gateway).count(("llamaserver", "success")) == 3


def test_an_event_loop_that_is_merely_closed_holds_no_places() -> None:
    """Copies that it left behind, neither ended nor cancelled, are not counted any more."""
    gateway = shadowed(3, delay=NEVER, clock=LoopClock(), concurrency=1)
    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(gateway.complete("Why?"))
        loop.close()
    assert gateway.shadow_stats()["e"].crowded_out == 0


def test_without_an_event_loop_copies_are_made_too() -> None:
    """The synchronous facade has one; closing it waits for them there."""
    gateway = shadowed(5, patience=60)
    with SyncGateway(gateway) as blocking:
        for _ in range(5):
            assert blocking.complete("Why?").text == "a"
    assert gateway.shadow_stats()["e"].answered == 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_budget_outlives_the_process(backend: str, tmp_path: Path) -> None:
    """It is counted where the other budgets are, apart from them: who comes later has what is left."""
    budgets = [{"agent": "*", "usd": "0.01"}]
    limits = {"store": f"sqlite:///{tmp_path}/limits.db", "store_timeout": 60, "budgets": budgets}

    async def calls() -> int:
        gateway = shadowed(3, price=Decimal(10), limits=limits, usd="0.0041", patience=60)
        for _ in range(3):
            await gateway.complete("word " * 800, max_tokens=100)
            await gateway.aclose()
        return gateway.shadow_stats()["e"].answered

    assert [anyio.run(calls, backend=backend) for _ in range(3)] == [3, 1, 0]


def test_threads_share_the_places() -> None:
    """Event loops in several threads at once: every copy is made or counted, and no more than may be at a time."""
    gateway = shadowed(40, concurrency=2)

    async def calls() -> None:
        for _ in range(10):
            await gateway.complete("Why?")
        while gateway.shadow_stats()["e"].under_way:
            await anyio.lowlevel.checkpoint()

    threads = [
        threading.Thread(target=partial(anyio.run, calls, backend=backend)) for backend in BACKENDS for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stats = gateway.shadow_stats()["e"]
    assert stats.answered + stats.crowded_out == 40
    assert (stats.under_way, stats.failed, stats.refused) == (0, 0, 0)
