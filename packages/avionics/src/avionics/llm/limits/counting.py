"""A store as calls use it: without holding up the event loop, without hanging, and without failing the call."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal, TypeVar

import anyio
from anyio import to_thread

from avionics.errors import LimitsUnavailableError
from avionics.llm.limits.bookkeeping import Refusal
from avionics.llm.limits.claims import Claim
from avionics.llm.limits.leases import LeaseKeeper
from avionics.llm.limits.store import Holder, Store, StoreUnavailableError, Ticket

__all__ = ["Counting"]

T = TypeVar("T")


class Counting:
    """Counts in a store; one that others share is asked in threads.

    Args:
        store: where counters are.
        on_failure: what becomes of calls while the store cannot be used.
        timeout: how long the store may take, in seconds.
        rest: for how long nobody asks a store that failed, in seconds.
        logger: is told when the store fails, once until it works again.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_failure: Literal["allow", "refuse"],
        timeout: float,
        rest: float,
        logger: logging.Logger,
    ) -> None:
        self.store = store
        self._on_failure = on_failure
        self._timeout = timeout
        self._rest = rest
        self._logger = logger
        self._leases = LeaseKeeper(store.renew) if store.is_shared else None
        self._down_until: float | None = None

    async def take(self, claims: Sequence[Claim]) -> Ticket | Refusal | None:
        """All of the claims, or none. None is for nobody to tell: the store is down, and calls go uncounted.

        Raises `LimitsUnavailableError` when it is down and calls are refused then.
        """
        if not self.store.is_shared:
            return self.store.take(claims, Holder(claims))
        taking = _Taking(self.store, claims)
        try:
            outcome = await self._asked(taking)
        except BaseException:
            taking.abandon()
            raise
        if outcome is None:
            taking.abandon()
            self._refuse_uncounted()
        if self._leases and isinstance(outcome, Ticket) and outcome.holder.keys:
            self._leases.keep(outcome.holder)
        return outcome

    async def settle(self, ticket: Ticket, used: Sequence[int]) -> None:
        """What was used of each claim. It is booked even when the caller is being cancelled; when the store is down,
        what was claimed stays counted.
        """
        if not self.store.is_shared:
            self.store.settle(ticket, used)
            return
        if self._leases:
            self._leases.drop(ticket.holder)
        with anyio.CancelScope(shield=True):
            await self._asked(partial(self.store.settle, ticket, used))

    async def aclose(self) -> None:
        """Let go of the store."""
        if self._leases:
            self._leases.close()
        if self.store.is_shared:
            await to_thread.run_sync(self.store.close)

    async def _asked(self, operation: Callable[[], T]) -> T | None:
        """None when the store is down."""
        if self._down_until is not None and time.monotonic() < self._down_until:
            return None
        try:
            with anyio.fail_after(self._timeout):
                done = await to_thread.run_sync(operation, abandon_on_cancel=True)
        except TimeoutError:
            self._failed(f"no answer within {self._timeout:g} s")
            return None
        except StoreUnavailableError as error:
            self._failed(str(error))
            return None
        if self._down_until is not None:
            self._down_until = None
            self._logger.info("the store of limits works again")
        return done

    def _refuse_uncounted(self) -> None:
        if self._on_failure == "refuse":
            raise LimitsUnavailableError(
                "limits.store cannot be used, and limits.on_store_failure is refuse; nothing was sent"
            )

    def _failed(self, reason: str) -> None:
        if self._down_until is None:
            what = "calls are refused" if self._on_failure == "refuse" else "calls are made uncounted"
            self._logger.warning("the store of limits cannot be used, %s until it can: %s", what, reason)
        self._down_until = time.monotonic() + self._rest


class _Taking:
    """Taking claims in a thread, for a caller who may be gone when they are granted: then they are given back."""

    def __init__(self, store: Store, claims: Sequence[Claim]) -> None:
        self._store = store
        self._claims = claims
        self._lock = threading.Lock()
        self._outcome: Ticket | Refusal | None = None
        self._is_abandoned = False

    def __call__(self) -> Ticket | Refusal:
        outcome = self._store.take(self._claims, Holder(self._claims))
        with self._lock:
            self._outcome = outcome
            is_abandoned = self._is_abandoned
        if is_abandoned:
            _give_back(self._store, outcome)
        return outcome

    def abandon(self) -> None:
        """Nobody waits for the outcome any more."""
        with self._lock:
            self._is_abandoned = True
            outcome = self._outcome
        if outcome is not None:
            threading.Thread(target=_give_back, args=(self._store, outcome), daemon=True).start()


def _give_back(store: Store, outcome: Ticket | Refusal) -> None:
    if isinstance(outcome, Ticket):
        with suppress(StoreUnavailableError):  # then what was claimed stays counted
            store.settle(outcome, [0] * len(outcome.claims))
