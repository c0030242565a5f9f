"""Places at deployments: as many exchanges at once as each can take, the others wait in line, for a while."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from avionics.errors import RateLimitExceededError
from avionics.llm.routing.concurrency_limit import ConcurrencyLimit
from avionics.llm.routing.wakeup import Wakeup
from avionics.settings.routing import ConcurrencySettings

__all__ = ["ConcurrencyGate", "Places", "Slot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Of one deployment: how many are allowed at once, taken, and waited for."""

    allowed: int
    taken: int
    waiting: int


class Slot:
    """A place that is taken. Give it back by `release`; a second time does nothing."""

    def __init__(self, counter: _Counter | None = None, decreases: int = 0) -> None:
        self._counter = counter
        self._decreases = decreases

    def release(self, *, refused: bool = False) -> None:
        """Give it back; `refused` says that the backend had too many requests (`rate_limit`, `overloaded`)."""
        counter, self._counter = self._counter, None
        if counter is not None:
            counter.give_back(self._decreases, refused=refused)


class ConcurrencyGate:
    """Gives out places, by the name of the deployment: to a higher priority first, then to who came first.

    Works in asyncio and trio, in several event loops and threads at once. Where the settings are not adaptive, there is
    always a place.
    """

    def __init__(self, settings: ConcurrencySettings | None = None) -> None:
        self._settings = settings or ConcurrencySettings()
        self._lock = threading.Lock()
        self._counters: dict[str, _Counter] = {}

    async def take(self, name: str, *, priority: int = 0, deadline: float | None = None) -> Slot:
        """A place at a deployment, as soon as there is one.

        Args:
            name: of the deployment.
            priority: a higher one comes first.
            deadline: a moment on the clock of the event loop until which to wait, if that is before the time of
                `queue_timeout` is over.

        Raises `RateLimitExceededError` when the line is full, or the time over.
        """
        if not self._settings.adaptive:
            return Slot()
        counter = self._counter(name)
        ends = anyio.current_time() + self._settings.queue_timeout
        return await counter.take(priority, ends if deadline is None else min(ends, deadline))

    @asynccontextmanager
    async def slot(self, name: str, *, priority: int = 0, deadline: float | None = None) -> AsyncGenerator[Slot]:
        """The same for the length of a block; release it inside to say that it was refused."""
        slot = await self.take(name, priority=priority, deadline=deadline)
        try:
            yield slot
        finally:
            slot.release()

    def places(self, name: str) -> Places | None:
        """How it stands with a deployment; None where nobody asked, or nothing is counted."""
        with self._lock:
            counter = self._counters.get(name)
        return counter.places() if counter else None

    def _counter(self, name: str) -> _Counter:
        with self._lock:
            if name not in self._counters:
                self._counters[name] = _Counter(name, self._settings)
            return self._counters[name]


@dataclass(eq=False, slots=True)
class _Waiter:
    rank: tuple[int, int]
    wakeup: Wakeup = field(default_factory=Wakeup)
    slot: Slot | None = None


class _Counter:
    """The places of one deployment, and who waits for them."""

    def __init__(self, name: str, settings: ConcurrencySettings) -> None:
        self._name = name
        self._queue = settings.queue
        self._limit = ConcurrencyLimit(value=settings.start, most=settings.most)
        self._lock = threading.RLock()  # a stream that is collected as garbage may give its place back inside this one
        self._taken = 0
        self._waiters: list[_Waiter] = []
        self._numbers = itertools.count()

    def places(self) -> Places:
        with self._lock:
            return Places(allowed=self._limit.allowed, taken=self._taken, waiting=len(self._waiters))

    async def take(self, priority: int, ends: float) -> Slot:
        with self._lock:
            if self._taken < self._limit.allowed:  # then nobody waits: a free place is given out at once
                return self._give()
            if len(self._waiters) >= self._queue:
                raise self._no_place(f"and {len(self._waiters)} calls wait already, as many as may (concurrency.queue)")
            waiter = _Waiter((-priority, next(self._numbers)))
            bisect.insort(self._waiters, waiter, key=lambda other: other.rank)
        try:
            with anyio.CancelScope(deadline=ends):
                await waiter.wakeup.wait()
        except BaseException:
            self._leave(waiter)
            raise
        with self._lock:
            if waiter.slot is None:
                self._waiters.remove(waiter)
                raise self._no_place("and none became free within the time that the call may wait")
            return waiter.slot

    def give_back(self, decreases: int, *, refused: bool) -> None:
        with self._lock:
            saturated = self._taken >= self._limit.allowed
            self._taken -= 1
            self._limit = (
                self._limit.after_refusal(decreases=decreases)
                if refused
                else self._limit.after_answer(saturated=saturated)
            )
            self._serve()

    def _leave(self, waiter: _Waiter) -> None:
        """One who was cancelled leaves no trace: a place that it was just given goes to the next."""
        with self._lock:
            if waiter.slot is None:
                self._waiters.remove(waiter)
            else:
                self._taken -= 1
                self._serve()

    def _serve(self) -> None:
        while self._waiters and self._taken < self._limit.allowed:
            waiter = self._waiters.pop(0)
            waiter.slot = self._give()
            if not waiter.wakeup.wake():  # its event loop is over
                self._taken -= 1

    def _give(self) -> Slot:
        self._taken += 1
        return Slot(self, self._limit.decreases)

    def _no_place(self, why: str) -> RateLimitExceededError:
        return RateLimitExceededError(
            f"{self._name} has no place free: {self._taken} are taken, {self._limit.allowed} allowed, {why}",
            limit=f"places at {self._name}",
        )
