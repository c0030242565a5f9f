"""Who waits for what, in which order: higher priority first, then who came first."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Collection

import anyio

from avionics.llm.home_loop import HomeLoop

__all__ = ["Line", "Waiter"]

_NOTHING: frozenset[str] = frozenset()


class Waiter:
    """One that waits in its event loop, until it is woken from any thread."""

    def __init__(self, rank: tuple[int, int], counters: Collection[str]) -> None:
        self.rank = rank
        self.counters = frozenset(counters)
        """All that it wants a part of."""
        self.waits_for: frozenset[str] = _NOTHING
        """Those that had no room for it. Who comes later goes behind it there, and passes it elsewhere."""
        self._woken = anyio.Event()
        self._home = HomeLoop()

    def listen(self) -> None:
        """From now on being woken counts for the next `sleep`."""
        self._woken = anyio.Event()

    async def sleep(self, longest: float) -> None:
        """Until woken, or for so many seconds."""
        with anyio.move_on_after(longest):
            await self._woken.wait()

    def wake(self) -> None:
        """From any thread. One whose event loop is over needs no waking."""
        self._home.soon(self._set)

    def _set(self) -> None:
        self._woken.set()


class Line:
    """All that wait in this process, in whichever event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: list[Waiter] = []
        self._numbers = itertools.count()

    def join(self, counters: Collection[str], priority: int) -> Waiter:
        """Stand in the line, behind those who came before with the same priority, or a higher one."""
        waiter = Waiter((-priority, next(self._numbers)), counters)
        with self._lock:
            bisect.insort(self._waiters, waiter, key=lambda other: other.rank)
        return waiter

    def move(self, waiter: Waiter, waits_for: frozenset[str]) -> None:
        """It waits for these counters now. Those whom it was in the way of elsewhere are woken."""
        with self._lock:
            before, waiter.waits_for = waiter.waits_for, waits_for
        if freed := before - waits_for:
            self.wake(freed)

    def leave(self, waiter: Waiter) -> None:
        """Stand there no longer. Those whom this was in the way of are woken."""
        with self._lock:
            self._waiters.remove(waiter)
        self.wake(waiter.counters)

    def length(self, counter: str) -> int:
        """How many wait for a counter."""
        with self._lock:
            return sum(counter in waiter.waits_for for waiter in self._waiters)

    def in_the_way(self, counters: Collection[str], priority: int, waiter: Waiter | None = None) -> frozenset[str]:
        """Those of the counters for which others wait who come first."""
        if not self._waiters:
            return _NOTHING
        rank = waiter.rank if waiter else (-priority, float("inf"))
        with self._lock:
            return frozenset(counters).intersection(
                itertools.chain.from_iterable(other.waits_for for other in self._waiters if other.rank < rank)
            )

    def wake(self, counters: Collection[str]) -> None:
        """Something came back to these counters: those who are first there may try."""
        if not self._waiters:
            return
        changed = frozenset(counters)
        with self._lock:
            passed: set[str] = set()
            for waiter in self._waiters:
                if waiter.waits_for & changed and not waiter.counters & passed:
                    waiter.wake()
                passed |= waiter.waits_for
