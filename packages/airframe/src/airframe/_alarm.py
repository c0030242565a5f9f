"""Ends a wait that takes too long.

A cancel scope does that too, and costs as much as reading an event does: it is entered, gets a timer, and is left again
for each of the thousands of reads of a stream. Here one timer serves all waits of an exchange. It is not moved when a
wait ends in time; when it rings too early, it is set again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

__all__ = ["Alarm", "AlarmRang"]

T = TypeVar("T")


class AlarmRang(Exception):  # noqa: N818  # it says what happened; whoever set the alarm knows what is wrong
    """The wait was ended."""


class Alarm:
    """Ends waits, one after the other, in one event loop."""

    def __init__(self) -> None:
        loop: Any = anyio.lowlevel.current_token().native_token
        self._loop = loop if isinstance(loop, asyncio.AbstractEventLoop) else None
        self.now: Callable[[], float] = anyio.current_time if self._loop is None else self._loop.time
        """The time by which moments are told."""
        self._timer: asyncio.TimerHandle | None = None
        self._moment = 0.0
        self._waiting: asyncio.Task[Any] | None = None
        self._rang = False

    async def within(self, moment: float, wait: Awaitable[T]) -> T:
        """Await `wait` until `moment`. Raises `AlarmRang` when that comes first."""
        if self._loop is None:  # trio, whose cancel scopes need no timers
            with anyio.CancelScope(deadline=moment):
                return await wait
            raise AlarmRang
        task = asyncio.current_task()
        assert task is not None
        others = task.cancelling()
        self._set(self._loop, moment, task)
        try:
            return await wait
        except BaseException as error:
            # As in asyncio.timeout: a cancellation is ours to swallow if nobody else asked for one.
            if self._rang and task.uncancel() <= others and isinstance(error, asyncio.CancelledError):
                raise AlarmRang from None
            raise
        finally:
            self._waiting = None
            self._rang = False

    def stop(self) -> None:
        """Nothing is waited for any more. A timer that is left alone rings once, and finds nobody."""
        timer, self._timer = self._timer, None
        if timer is not None:
            with suppress(RuntimeError):  # no event loop runs here
                if asyncio.get_running_loop() is self._loop:
                    timer.cancel()

    def _set(self, loop: asyncio.AbstractEventLoop, moment: float, task: asyncio.Task[Any]) -> None:
        self._moment = moment
        self._waiting = task
        if self._timer is None or moment < self._timer.when():
            self.stop()
            self._timer = loop.call_at(moment, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if loop.time() < self._moment:
            self._timer = loop.call_at(self._moment, self._ring, loop)
        else:
            self._rang = True
            self._waiting.cancel()
