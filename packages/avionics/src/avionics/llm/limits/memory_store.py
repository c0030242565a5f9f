"""Counters in this process."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence

from avionics.llm.limits.bookkeeping import Refusal, settle, take
from avionics.llm.limits.claims import Claim, Standing
from avionics.llm.limits.microseconds import Clock, microseconds
from avionics.llm.limits.store import Holder, Ticket

__all__ = ["MemoryStore"]

_SWEEP_EVERY = 4096  # transactions; counters that say nothing any more are forgotten then


class MemoryStore:
    """Counters in this process, for all its threads and event loops. They end with it."""

    is_shared = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counters = _Counters()
        self._transactions = 0

    def take(self, claims: Sequence[Claim], holder: Holder) -> Ticket | Refusal:
        """All of the claims, or none."""
        with self._lock:
            now = microseconds(self._clock())
            self._transactions += 1
            if self._transactions % _SWEEP_EVERY == 0:
                self._counters.sweep(now)
            refusal = take(_MemoryLedger(self._counters, holder), claims, now)
        return refusal or Ticket(claims, holder, now)

    def settle(self, ticket: Ticket, used: Sequence[int]) -> None:
        """What was used of each claim of the ticket."""
        with self._lock:
            ledger = _MemoryLedger(self._counters, ticket.holder)
            settle(ledger, ticket.claims, used, taken_at=ticket.taken_at, now=microseconds(self._clock()))

    def renew(self, holders: Sequence[Holder]) -> None:
        """A holder that exists holds its slots."""

    def known(self, keys: Sequence[str]) -> Mapping[str, Standing]:
        """How counters stand."""
        with self._lock:
            return {key: self._counters.read(key) for key in keys if self._counters.has(key)}

    def close(self) -> None:
        """Nothing is held open."""


class _Counters:
    def __init__(self) -> None:
        self.standings: dict[str, tuple[Standing, int | None]] = {}
        self.slots: dict[str, weakref.WeakSet[Holder]] = {}

    def has(self, key: str) -> bool:
        return key in self.standings or key in self.slots

    def read(self, key: str) -> Standing:
        if holders := self.slots.get(key):
            return Standing(taken=len(holders))
        return self.standings.get(key, (Standing(), None))[0]

    def sweep(self, now: int) -> None:
        """Forget what has ended."""
        self.standings = {key: entry for key, entry in self.standings.items() if entry[1] is None or entry[1] > now}
        self.slots = {key: holders for key, holders in self.slots.items() if len(holders)}


class _MemoryLedger:
    def __init__(self, counters: _Counters, holder: Holder) -> None:
        self._counters = counters
        self._holder = holder

    def read(self, key: str) -> Standing:
        return self._counters.read(key)

    def write(self, key: str, standing: Standing, ends_at: int | None) -> None:
        self._counters.standings[key] = standing, ends_at

    def occupy(self, key: str) -> None:
        self._counters.slots.setdefault(key, weakref.WeakSet()).add(self._holder)

    def vacate(self, key: str) -> None:
        if holders := self._counters.slots.get(key):
            holders.discard(self._holder)
