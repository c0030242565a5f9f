"""The clock that tests advance by hand."""

from __future__ import annotations

import anyio
import pytest

from airframe.testing import Clock

pytestmark = pytest.mark.anyio


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    """Advancing over several moments stops at each, and a sleeper may sleep again within the same advance."""
    clock = Clock()
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, *times: float) -> None:
        for seconds in times:
            await clock.sleep(seconds)
            woken.append((name, clock.now))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep, "late", 5)
        tasks.start_soon(sleep, "early", 1, 2)
        await clock.advance(4)
        assert woken == [("early", 1), ("early", 3)]
        assert clock.sleepers == 1
        await clock.advance(1)
    assert woken == [("early", 1), ("early", 3), ("late", 5)]
    assert (clock.now, clock.sleepers) == (5, 0)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """Nobody is woken who does not sleep any more."""
    clock = Clock()
    with anyio.move_on_after(0):
        await clock.sleep(1)
    assert clock.sleepers == 0
    await clock.advance(2)
    assert clock.now == 2


async def test_a_jumping_clock_does_not_wait() -> None:
    """Sleeping takes no time and moves the clock."""
    clock = Clock(jumps=True)
    await clock.sleep(60)
    await clock.sleep(0)
    assert clock.now == 60


async def test_time_does_not_go_back() -> None:
    """Advancing by less than nothing is refused."""
    with pytest.raises(ValueError, match="0 or more seconds, got -1"):
        await Clock().advance(-1)
