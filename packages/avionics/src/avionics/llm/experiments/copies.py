"""Copies that are under way beside the calls: so many at a time, in the event loop of the call that each copies.

A copy lives in that loop because connections do. No task group holds it: nobody opened one for the gateway, and the
call that it copies is over. It ends with its loop, or when the gateway is closed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel

from avionics.llm.background_task import BackgroundTask

__all__ = ["Copies"]

_CANCELLING = 10.0
"""Seconds for which cancelled copies are waited for: no longer, whatever they do in the meantime."""


@dataclass(eq=False, slots=True)
class _Copy:
    """One that is under way, where."""

    process: int = field(default_factory=os.getpid)
    loop: Any = field(default_factory=lambda: anyio.lowlevel.current_token().native_token)
    over: anyio.Event = field(default_factory=anyio.Event)
    task: BackgroundTask | None = None

    @property
    def is_lost(self) -> bool:
        """Whether its event loop ended before it did, or stayed behind in the process that was forked."""
        return self.process != os.getpid() or bool(getattr(self.loop, "is_closed", bool)())


class Copies:
    """Safe to use from several event loops and threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._running: dict[str, set[_Copy]] = {}

    def start(self, name: str, most: int, work: Callable[[], Awaitable[None]]) -> bool:
        """Begin a copy beside the running task; False when `most` of this name are under way."""
        copy = _Copy()
        with self._lock:
            running = self._running.setdefault(name, set())
            running -= {other for other in running if other.is_lost}
            if len(running) >= most:
                return False
            running.add(copy)
        copy.task = BackgroundTask(partial(self._carry_out, name, copy, work))
        return True

    def count(self, name: str) -> int:
        """How many of this name are under way."""
        with self._lock:
            return len(self._running.get(name, ()))

    async def aclose(self, patience: float) -> None:
        """Wait so many seconds for those of this event loop, then cancel all."""
        loop = anyio.lowlevel.current_token().native_token
        with self._lock:
            running = [copy for copies in self._running.values() for copy in copies if not copy.is_lost]
        own = [copy for copy in running if copy.loop is loop]
        try:
            await _ended(own, patience)
        finally:
            for copy in running:
                if copy.task is not None:
                    copy.task.cancel()
            with anyio.CancelScope(shield=True):
                await _ended(own, _CANCELLING)

    async def _carry_out(self, name: str, copy: _Copy, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await anyio.lowlevel.checkpoint()  # who called goes on first
            await work()
        finally:
            with self._lock:
                self._running[name].discard(copy)
            copy.over.set()


async def _ended(copies: list[_Copy], seconds: float) -> None:
    with anyio.move_on_after(seconds):
        for copy in copies:
            await copy.over.wait()
