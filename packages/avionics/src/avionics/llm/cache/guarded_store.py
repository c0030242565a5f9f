"""A store that never harms a call: what fails is a miss, what is slow is not waited for, what is down is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio
from anyio import to_thread

from avionics.llm.cache.store import CacheStore, StoreUnavailableError
from avionics.llm.observation import FaultLog

__all__ = ["GuardedStore"]

T = TypeVar("T")

_WHO = "the response cache"


class GuardedStore:
    """A store for event loops: its work is done in threads, within a time limit.

    Args:
        store: where entries are.
        timeout: how long a call waits for it, in seconds.
        rest: for how long nobody asks it after it failed, in seconds.
        faults: is told of the first failure.
        clock: seconds, for the rest.
    """

    def __init__(
        self,
        store: CacheStore,
        *,
        timeout: float,
        rest: float,
        faults: FaultLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._timeout = timeout
        self._rest = rest
        self._faults = faults
        self._clock = clock
        self._down_until: float | None = None

    async def get(self, key: str) -> bytes | None:
        """What is kept under the key; None when there is nothing, and when nobody can tell."""
        return await self._try(partial(self._store.get, key))

    async def put(self, key: str, data: bytes, *, now: float, ttl: float | None) -> None:
        """Keep it if that can be done."""
        await self._try(partial(self._store.put, key, data, now=now, ttl=ttl))

    async def delete(self, key: str) -> None:
        """Forget it if that can be done."""
        await self._try(partial(self._store.delete, key))

    async def aclose(self) -> None:
        """Let go of connections."""
        self._down_until = None
        await self._try(self._store.close)

    async def _try(self, operation: Callable[[], T]) -> T | None:
        if self._store.in_process:
            return operation()
        if self._down_until is not None and self._clock() < self._down_until:
            return None
        try:
            with anyio.fail_after(self._timeout):
                done = await to_thread.run_sync(operation, abandon_on_cancel=True)
        except TimeoutError:
            reason = f"no answer within {self._timeout:g} s"
        except StoreUnavailableError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call goes on
            reason = type(error).__name__  # its words may repeat what is kept
        else:
            self._down_until = None
            return done
        self._failed(reason)
        return None

    def _failed(self, reason: str) -> None:
        self._down_until = self._clock() + self._rest

        def fail() -> None:
            raise StoreUnavailableError(reason)

        self._faults.contained(_WHO, fail)
