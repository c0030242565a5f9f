"""Waking a task from any thread and event loop."""

from __future__ import annotations

import anyio

from avionics.llm.home_loop import HomeLoop

__all__ = ["Wakeup"]


class Wakeup:
    """Made in the event loop that waits."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._home = HomeLoop()

    async def wait(self) -> None:
        """Until woken."""
        await self._event.wait()

    def wake(self) -> bool:
        """Wake it, from wherever; False when its event loop is over, so that nobody wakes."""
        if self._home.is_here():
            self._event.set()
            return True
        return self._home.soon(self._event.set)
