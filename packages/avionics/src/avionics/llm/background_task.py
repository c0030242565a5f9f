"""A task beside those of the caller, on asyncio and trio.

A task group would tie it to the task that opened it, and whoever holds an iterator may take its items from any task,
leave it half read, or forget it.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
from anyio import CancelScope

from avionics.llm.home_loop import HomeLoop

__all__ = ["BackgroundTask"]


class BackgroundTask:
    """Runs `work`, which must not raise, from now on, with the context variables of who starts it."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._scope = CancelScope()
        self._ended = anyio.Event()
        self._home = HomeLoop()
        loop: Any = anyio.lowlevel.current_token().native_token
        self._task: object = None
        if hasattr(loop, "create_task"):
            self._task = loop.create_task(self._run())  # the loop itself would not keep it
        else:
            import trio

            trio.lowlevel.spawn_system_task(self._run, context=contextvars.copy_context())

    def cancel(self) -> None:
        """Let it end soon. May be called from anywhere, also after the end."""
        self._home.soon(self._scope.cancel)  # an event loop that has ended has ended all of its tasks

    async def aclose(self) -> None:
        """Cancel it, and wait until it has ended, even while being cancelled."""
        self._scope.cancel()
        with CancelScope(shield=True):
            await self._ended.wait()

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._work()
        finally:
            self._ended.set()
