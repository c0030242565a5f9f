"""What a test leaves behind: streams nobody closed, connections nobody closed, tasks that still run."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, Protocol, cast
from weakref import WeakSet

import anyio

from airframe.stream import InferenceStream

__all__ = ["LeakError", "checked_for_leaks"]

_SETTLING_SECONDS = 1.0
_POLL_SECONDS = 0.01


class LeakError(AssertionError):
    """A test left something open. The message names it."""


def checked_for_leaks(test: Callable[..., Any]) -> Callable[..., Any]:
    """The test function, which now raises `LeakError` if more is open after it than before.

    What an async test leaves is looked for while its event loop still runs: the end of the loop hides much. All objects
    of the process are looked through, which takes some tens of milliseconds. Others, such as a server's thread, get a
    second to close their side.
    """

    @wraps(test)
    async def checked_async_test(*args: Any, **kwargs: Any) -> None:
        before = _open_now()
        await cast("Awaitable[None]", test(*args, **kwargs))
        deadline = time.monotonic() + _SETTLING_SECONDS
        while (leaks := _leaks(before)) and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(_POLL_SECONDS)
        _report(leaks)

    @wraps(test)
    def checked_test(*args: Any, **kwargs: Any) -> None:
        before = _open_now()
        test(*args, **kwargs)
        deadline = time.monotonic() + _SETTLING_SECONDS
        while (leaks := _leaks(before)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        _report(leaks)

    return checked_async_test if inspect.iscoroutinefunction(test) else checked_test


def _open_now() -> WeakSet[object]:
    return WeakSet(found for found, _ in _open_things())


def _leaks(before: WeakSet[object]) -> list[str]:
    gc.collect()  # what nobody holds any more closes itself
    return sorted(text for found, text in _open_things() if found not in before)


def _report(leaks: list[str]) -> None:
    if leaks:
        raise LeakError(f"the test leaves something behind: {'; '.join(leaks)}")


def _open_things() -> Iterator[tuple[object, str]]:
    """Everything that is open, and what it is in words."""
    trio_task = _trio_task_class()
    for found in gc.get_objects():
        kind = cast("type[object]", type(found))  # of the object itself: a proxy may claim to be anything
        text: str | None = None
        if issubclass(kind, InferenceStream):
            text = _stream(cast("InferenceStream", found))
        elif issubclass(kind, socket.socket):
            text = _connection(cast("socket.socket", found))
        elif issubclass(kind, asyncio.Task):
            text = _task(cast("asyncio.Task[object]", found))
        elif trio_task and issubclass(kind, trio_task):
            text = _trio_task(cast("_TrioTask", found))
        if text:
            yield found, text


def _stream(found: InferenceStream) -> str | None:
    return "a stream that was neither read to its end nor closed" if found.is_open else None


def _connection(found: socket.socket) -> str | None:
    """A connection to somewhere; what is closed, listens, or is a pair within the process, is none."""
    try:
        if found.fileno() == -1 or found.family not in {socket.AF_INET, socket.AF_INET6}:
            return None
        host, port, *_ = found.getpeername()
    except OSError:
        return None
    return f"a connection to {host}:{port}"


def _task(found: asyncio.Task[object]) -> str | None:
    if found.done():
        return None
    name = found.get_name()
    if name.startswith("Task-"):  # asyncio's own numbering
        name = getattr(found.get_coro(), "__qualname__", name)
    return f"a task that still runs: {name}"


class _TrioTask(Protocol):
    name: str
    coro: Any


def _trio_task(found: _TrioTask) -> str | None:
    over = inspect.iscoroutine(found.coro) and inspect.getcoroutinestate(found.coro) == inspect.CORO_CLOSED
    return None if over else f"a task that still runs: {found.name}"


def _trio_task_class() -> type | None:
    trio = sys.modules.get("trio")
    return cast("type", trio.lowlevel.Task) if trio else None
