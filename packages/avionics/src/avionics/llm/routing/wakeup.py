"""Waking a task from any thread and event loop."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel

__all__ = ["Wakeup"]


class Wakeup:
    """Made in the event loop that waits."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._loop: Any = anyio.lowlevel.current_token().native_token

    async def wait(self) -> None:
        """Until woken."""
        await self._event.wait()

    def wake(self) -> bool:
        """Wake it, from wherever; False when its event loop is over, so that nobody wakes."""
        if self._loop is _current_loop():
            self._event.set()
            return True
        soon = getattr(self._loop, "call_soon_threadsafe", None) or self._loop.run_sync_soon
        try:
            soon(self._event.set)
        except RuntimeError:
            return False
        return True


def _current_loop() -> object:
    """The event loop of this thread; None where there is none."""
    try:
        return anyio.lowlevel.current_token().native_token
    except RuntimeError:
        return None
