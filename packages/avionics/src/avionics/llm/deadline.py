"""The end of the time that a call, or a part of it, has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import anyio

from airframe.cancellation import attempts_of
from airframe.errors import CallTimeoutError
from airframe.types import Attempt

__all__ = ["in_time", "until"]

T = TypeVar("T")


async def in_time(seconds: float | None, ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` gives within so many seconds; None is no limit. Raises `CallTimeoutError`."""
    if seconds is None:
        return await ask()
    with until(anyio.current_time() + seconds):
        return await ask()
    raise AssertionError("a scope that was cut off raises")


@contextmanager
def until(ends: float) -> Generator[None]:
    """What is awaited inside ends at that moment on the clock of the event loop, with a `CallTimeoutError`.

    The error says what was tried until then.
    """
    begun = anyio.current_time()
    attempts: Sequence[Attempt] = ()
    with anyio.move_on_after(max(ends - begun, 0)) as scope:
        try:
            yield
        except BaseException as error:
            attempts = attempts_of(error)
            raise
    if scope.cancelled_caught:
        late = CallTimeoutError(f"no answer within {ends - begun:.3g} s, as much of the call's time as was left for it")
        late.timeout = "total"
        late.attempts = attempts
        raise late
