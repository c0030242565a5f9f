"""The same objects for programs without an event loop: scripts, Celery tasks, threads.

    with SyncGateway(LLMGateway(get_settings())) as gateway:
        print(gateway.complete("Why?").text)
        for chunk in gateway.complete_stream("Why not?"):
            print(chunk.text, end="")

Calls run in one event loop in a thread of its own, of which each process has one; so connections live on between calls,
from whichever thread they come. A process that was forked begins with a new one. Inside a running event loop the facade
works, and holds that loop up until the answer is there: there, await the objects themselves. Inside its own event loop,
where it would wait for itself, it raises `BlockingCallError`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from functools import partial, wraps
from types import TracebackType
from typing import Generic, ParamSpec, Protocol, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from avionics.errors import AvionicsError
from avionics.llm.chat import Chat
from avionics.llm.gateway import LLMGateway
from avionics.llm.provider import LLMProvider

__all__ = [
    "AsyncStream",
    "BlockingCallError",
    "SyncChat",
    "SyncGateway",
    "SyncProvider",
    "SyncStream",
    "blocking",
    "blocking_stream",
    "run_sync",
]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class BlockingCallError(AvionicsError, RuntimeError):
    """A blocking call inside the event loop that would have to carry it out."""


class _Loop:
    """The event loop of this process, and the thread that it runs in."""

    lock = threading.Lock()
    portal: BlockingPortal | None = None
    thread: threading.Thread | None = None


def _portal() -> BlockingPortal:
    with _Loop.lock:
        if _Loop.portal is None:
            started = Future[BlockingPortal]()
            # A daemon, and no context manager to leave: the interpreter ends without asking, a forked process as well.
            _Loop.thread = threading.Thread(target=anyio.run, args=[_serve, started], name="avionics", daemon=True)
            _Loop.thread.start()
            _Loop.portal = started.result()
    if threading.current_thread() is _Loop.thread:
        raise BlockingCallError("a blocking call inside the event loop that would carry it out: await the call instead")
    return _Loop.portal


async def _serve(started: Future[BlockingPortal]) -> None:
    async with BlockingPortal() as portal:
        started.set_result(portal)
        await portal.sleep_until_stopped()


def _forget_after_fork() -> None:
    """The thread of the loop is not forked along, and who held the lock may not have been either."""
    _Loop.lock = threading.Lock()
    _Loop.portal = _Loop.thread = None


os.register_at_fork(after_in_child=_forget_after_fork)


def run_sync(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls an async function and waits for what it returns.

    Raises what it raises, and `BlockingCallError`. Who is interrupted while waiting (by Ctrl-C, by the time limit of a
    Celery task) cancels it.
    """
    portal = _portal()
    call = _Call(partial(function, *args, **kwargs))
    try:
        return portal.start_task_soon(call.run).result()
    except BaseException:
        call.interrupted = True
        portal.start_task_soon(call.cancel)
        raise


class _Call(Generic[T]):
    """A call in the loop. An interrupt may come before it has begun."""

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self.interrupted = False
        self._function = function
        self._scope: anyio.CancelScope | None = None

    async def run(self) -> T:
        with anyio.CancelScope() as self._scope:
            if self.interrupted:
                self._scope.cancel()
            return await self._function()
        raise anyio.get_cancelled_exc_class()  # nobody waits for it any longer

    def cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()


def blocking(function: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """An async function as one that waits."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_sync(function, *args, **kwargs)

    return call


def blocking_stream(function: Callable[P, AsyncStream[T]]) -> Callable[P, SyncStream[T]]:
    """A function that gives an async stream as one that gives a `SyncStream`."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> SyncStream[T]:
        return SyncStream(function(*args, **kwargs))

    return call


class AsyncStream(Protocol[T_co]):
    """What all streams are: `CompletionStream`, `TokenStream`, `CallMap`."""

    def __anext__(self) -> Awaitable[T_co]:
        """The next piece."""
        ...

    async def aclose(self) -> None:
        """End the exchange now."""
        ...


class SyncStream(Generic[T]):
    """A stream as an iterator that waits, and a context manager that ends the exchange.

    `stream` is the stream itself, for what it says when it is over.
    """

    def __init__(self, stream: AsyncStream[T]) -> None:
        self.stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        for piece in run_sync(self._next):
            return piece
        raise StopIteration

    def close(self) -> None:
        """End the exchange now."""
        run_sync(self.stream.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _next(self) -> Sequence[T]:
        try:
            return (await self.stream.__anext__(),)
        except StopAsyncIteration:
            return ()


class SyncGateway:
    """A gateway whose methods wait. Arguments, results and errors are those of `LLMGateway`."""

    def __init__(self, gateway: LLMGateway) -> None:
        self.gateway = gateway
        self.complete = blocking(gateway.complete)
        self.complete_stream = blocking_stream(gateway.complete_stream)
        self.map = blocking_stream(gateway.map)
        self.get_stats = gateway.get_stats
        self.record_feedback = gateway.record_feedback
        self.close = blocking(gateway.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class SyncProvider:
    """A provider whose methods wait. Arguments, results and errors are those of `LLMProvider`."""

    def __init__(self, provider: LLMProvider) -> None:
        self.provider = provider
        self.complete = blocking(provider.complete)
        self.complete_with_vision = blocking(provider.complete_with_vision)
        self.stream_complete = blocking_stream(provider.stream_complete)
        self.generate = blocking(provider.generate)
        self.generate_stream = blocking_stream(provider.generate_stream)
        self.health_check = blocking(provider.health_check)
        self.list_models = blocking(provider.list_models)
        self.get_stats = provider.get_stats
        self.close = blocking(provider.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class SyncChat:
    """A chat whose methods wait. Arguments, results and errors are those of `Chat`; `chat` has everything else."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.send_user_message = blocking(chat.send_user_message)
        self.stream_user_message = blocking_stream(chat.stream_user_message)
        self.invoke = blocking(chat.invoke)
        self.stream = blocking_stream(chat.stream)
