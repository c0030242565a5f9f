"""Of several calls that ask the same at once, one asks, and the others wait for its answer.

It holds within a process, on asyncio and trio, for calls in one event loop and in several threads with their own.

    join ─> leads ─> share      everyone who waits has the value
                 ├─> hand_over  it did not get one: the first who waits leads now
                 └─> disband    it got one that is for nobody else: everyone goes alone
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from avionics.llm.cache.process_lock import ProcessLock
from avionics.llm.home_loop import HomeLoop

__all__ = ["Part", "SingleFlight"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """The part that a call plays: it leads, it has got a value, or (neither) it asks for itself alone.

    Who leads must end that, exactly once, by `share`, `hand_over` or `disband`.
    """

    leads: bool = False
    value: T | None = None


class SingleFlight(Generic[T]):
    """The flights that are under way, by key."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[_Seat[T]]] = {}
        # Reentrant, because garbage collection, and with it the end of a flight, may strike anywhere. In a forked
        # process nobody leads.
        self._lock = ProcessLock(self._waiting.clear)

    async def join(self, key: str, *, patience: float) -> Part[T]:
        """Lead, or wait up to `patience` seconds for who does. To stop waiting harms nobody else."""
        seat = _Seat[T]()
        if self._lead_or_sit(key, seat, waits=patience > 0):
            return Part(leads=True)
        try:
            with anyio.move_on_after(patience):
                await seat.event.wait()
        except BaseException:
            if self._stand_up(key, seat).leads:
                self.hand_over(key)
            raise
        return self._stand_up(key, seat)

    def share(self, key: str, value: T) -> None:
        """Give everyone who waits the value."""
        self._end(key, Part(value=value))

    def disband(self, key: str) -> None:
        """Send everyone who waits on alone."""
        self._end(key, Part())

    def hand_over(self, key: str) -> None:
        """Let the first who waits lead, if there is anyone."""
        while True:
            with self._lock:
                seats = self._waiting.get(key)
                if not seats:
                    self._waiting.pop(key, None)
                    return
                seat = seats.popleft()
                seat.part = Part(leads=True)
            if seat.call():
                return

    def _lead_or_sit(self, key: str, seat: _Seat[T], *, waits: bool) -> bool:
        with self._lock:
            while True:
                seats = self._waiting.get(key)
                if seats is None:
                    self._waiting[key] = deque()
                    return True
                if not waits:
                    return False
                seats.append(seat)
                if self._waiting.get(key) is seats:  # not so if the flight ended within this very moment
                    return False

    def _stand_up(self, key: str, seat: _Seat[T]) -> Part[T]:
        with self._lock:
            if seat.part is not None:
                return seat.part
            seats = self._waiting.get(key)
            if seats and seat in seats:
                seats.remove(seat)
            return Part()

    def _end(self, key: str, part: Part[T]) -> None:
        with self._lock:
            seats = self._waiting.pop(key, ())
            for seat in seats:
                seat.part = part
        for seat in seats:
            seat.call()


class _Seat(Generic[T]):
    """Where one call waits. It may be called from any thread."""

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.part: Part[T] | None = None
        self._home = HomeLoop()

    def call(self) -> bool:
        """Wake it; False if its event loop has ended."""
        return self._home.soon(self.event.set)
