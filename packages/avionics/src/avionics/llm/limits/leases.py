"""Keeps slots in a shared store for as long as their holders exist: who is gone, however it went, frees them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress

from avionics.llm.limits.store import LEASE, Holder, StoreUnavailableError

__all__ = ["LeaseKeeper"]


class LeaseKeeper:
    """Renews leases from a thread of its own, which exists while there are holders."""

    def __init__(self, renew: Callable[[Sequence[Holder]], None], *, every: float = LEASE / 3) -> None:
        self._renew = renew
        self._every = every
        self._lock = threading.Lock()
        self._holders: weakref.WeakSet[Holder] = weakref.WeakSet()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def keep(self, holder: Holder) -> None:
        """From now on, until it is dropped or collected."""
        with self._lock:
            self._holders.add(holder)
            if self._thread is None or not self._thread.is_alive():  # it does not survive a fork
                self._stopped = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stopped,), name="avionics-limits-leases", daemon=True
                )
                self._thread.start()

    def drop(self, holder: Holder) -> None:
        """It holds nothing any more."""
        with self._lock:
            self._holders.discard(holder)

    def close(self) -> None:
        """Renew nothing any more."""
        with self._lock:
            self._holders.clear()
            self._stopped.set()
            self._thread = None

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._every):
            with self._lock:
                holders = list(self._holders)
                if not holders:
                    if self._stopped is stopped:
                        self._thread = None
                    return
            with suppress(StoreUnavailableError):  # calls report it, and the next time may do
                self._renew(holders)
            del holders  # or they would exist for as long as the thread waits
