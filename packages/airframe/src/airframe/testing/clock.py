"""Time for tests: it passes when the test says so, and nobody sleeps.

clock = Clock()
adapter = ScriptedAdapter([Answer(text="Late.", delay=30)], clock=clock)
async with anyio.create_task_group() as tasks:
    tasks.start_soon(ask, adapter)
    await clock.advance(29)  # still nothing
    await clock.advance(1)   # now it speaks
"""

from __future__ import annotations

from typing import Protocol

import anyio
import anyio.lowlevel

__all__ = ["Clock", "Timer"]

_SETTLING_ROUNDS = 10


class Timer(Protocol):
    """What scripts and recordings take their time from: a `Clock`, or a `virtual_time.LoopClock`."""

    @property
    def now(self) -> float:
        """Seconds; only differences mean anything."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait until so much time has passed."""
        ...


class Clock:
    """Seconds since the test began. Works under asyncio and trio; one clock belongs to one event loop.

    Args:
        jumps: do not wait for `advance`: whoever sleeps goes on at once, and `now` is as if he had slept.
    """

    def __init__(self, *, jumps: bool = False) -> None:
        self.now = 0.0
        """Seconds that have passed."""
        self._jumps = jumps
        self._sleepers: list[tuple[float, anyio.Event]] = []

    @property
    def sleepers(self) -> int:
        """How many tasks wait for time to pass."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until so much time has passed."""
        due = self.now + seconds
        if self._jumps or seconds <= 0:
            self.now = max(self.now, due)
            await anyio.lowlevel.checkpoint()
            return
        sleeper = (due, anyio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)

    async def advance(self, seconds: float) -> None:
        """Let time pass. Whoever waits for a moment within it goes on, in order, before this returns."""
        if seconds < 0:
            raise ValueError(f"time goes forward: advance takes 0 or more seconds, got {seconds}")
        end = self.now + seconds
        await _settle()
        while (sleeper := min(self._sleepers, key=lambda pair: pair[0], default=None)) and sleeper[0] <= end:
            self.now = max(self.now, sleeper[0])
            sleeper[1].set()
            await _settle()
        self.now = end


async def _settle() -> None:
    """Wait until every other task waits for something."""
    # On asyncio, anyio polls ten times a second while a task is busy; these rounds let most of them finish before.
    for _ in range(_SETTLING_ROUNDS):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
