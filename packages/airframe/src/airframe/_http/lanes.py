"""Connections, lent out one by one.

Every connection is a lane of its own: one httpx transport that holds at most one connection. Lanes are lent out by
our own limiter, so httpx's pool never queues, never searches, and never has to recover from a cancellation (which
httpcore 1.0.9's pool cannot): a lane whose exchange did not end well is thrown away with its connection.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

import anyio
import httpx

__all__ = ["Lane", "Lanes"]

RESET_ON_CLOSE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # struct linger: on, for no time at all


class Lane:
    """One connection and the exchange that is on it."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._response: httpx.Response | None = None
        self.pieces: AsyncIterator[bytes]

    async def exchange(self, request: httpx.Request) -> httpx.Response:
        self._response = response = await self._transport.handle_async_request(request)
        self.pieces = cast("httpx.AsyncByteStream", response.stream).__aiter__()
        return response

    async def finish(self) -> None:
        """The body was read to its end: let httpx take the connection back."""
        if self._response is not None:
            await self._response.aclose()

    def reusable(self) -> bool:
        """Whether nothing is left over from the last answer. Bytes beyond its end would be taken for the next one."""
        self._response = None
        return not _surplus(self._transport)

    def hang_up(self) -> None:
        """Tell the other side at once that nobody listens any more; the descriptor is closed by `close`."""
        stream: Any = self._response.extensions.get("network_stream") if self._response else None
        raw: Any = stream.get_extra_info("socket") if stream else None
        if raw is not None:
            with suppress(OSError):
                # A server that waits for room to write would learn of FIN only when it has written; of RST, at once.
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                raw.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        response, self._response = self._response, None
        with suppress(Exception):
            if response is not None:
                await response.aclose()
        with suppress(Exception):
            await self._transport.aclose()
        if response is not None:
            # The connection is closed, so this ends the generators underneath; trio complains of ones left hanging.
            with suppress(Exception):
                async for _ in self.pieces:
                    pass


class Lanes:
    """Lends out the lanes of one route in one event loop."""

    def __init__(self, connect: Callable[[], httpx.AsyncBaseTransport], size: int, loop: Any) -> None:
        self._connect = connect
        self._slots = anyio.Semaphore(size, fast_acquire=True)
        self._idle: list[Lane] = []
        # Held here too, so that a forgotten stream is collected without its socket, which still has to be closed.
        self._lent: set[Lane] = set()
        self._discarded: deque[Lane] = deque()
        self._buried: set[object] = set()
        self._soon: Callable[[Callable[[], object]], object] = (
            loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
        )
        self._keeper: AsyncGenerator[None, None] | None = None
        self._closed = False
        self._pid = os.getpid()

    async def acquire(self) -> Lane:
        """A lane, when one is free. Waiting callers are served in turn."""
        await self._slots.acquire()
        try:
            lane = self._idle.pop() if self._idle else Lane(self._connect())
        except BaseException:
            self._slots.release()
            raise
        self._lent.add(lane)
        return lane

    def give_back(self, lane: Lane) -> None:
        """The exchange ended well: the connection may serve again."""
        if lane.reusable() and not self._closed:
            self._lent.discard(lane)
            self._idle.append(lane)
            self._slots.release()
        else:
            self.discard(lane)

    def discard(self, lane: Lane) -> None:
        """The exchange did not end well: the connection goes. Callable from anywhere, at any time."""
        if self._pid != os.getpid():
            return  # a forked child collects what it inherited; hanging up would reach the parent's connection
        lane.hang_up()
        self._discarded.append(lane)
        self._lent.discard(lane)
        with suppress(RuntimeError):  # the loop is gone, and the connection with it
            self._soon(self._after_discard)

    def _after_discard(self) -> None:
        """In the event loop: free the slot, and have the connection closed by a task, as closing may have to wait."""
        self._slots.release()
        if self._discarded:
            with suppress(RuntimeError):  # the loop is ending; `_keep` has closed what there was, or will
                _spawn(self.bury, self._buried)

    async def bury(self) -> None:
        """Close the connections that were discarded."""
        while self._discarded:
            lane = self._discarded.popleft()
            with anyio.CancelScope(shield=True):
                await lane.close()

    async def close_with_loop(self) -> None:
        """Have the connections closed when the event loop ends, for programs that never close their adapter.

        Event loops close the asynchronous generators that are still open as their last act.
        """
        self._keeper = self._keep()
        await self._keeper.__anext__()

    async def _keep(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._close_all()

    async def aclose(self) -> None:
        if self._keeper is not None:
            await self._keeper.aclose()

    async def _close_all(self) -> None:
        """Close every connection. Whoever still reads from one finds it lost."""
        self._closed = True
        lanes = [*self._idle, *self._lent]
        self._idle = []
        with anyio.CancelScope(shield=True):
            for lane in lanes:
                lane.hang_up()
                await lane.close()
        await self.bury()


def _surplus(transport: httpx.AsyncBaseTransport) -> bool:
    """Whether bytes beyond the answer lie in the parser's buffer.

    httpcore would take them for the next answer, and has no public question for it.
    """
    pool: Any = getattr(transport, "_pool", None)
    for connection in getattr(pool, "connections", ()):
        state: Any = getattr(getattr(connection, "_connection", None), "_h11_state", None)
        if state is not None and state.trailing_data[0]:
            return True
    return False


def _spawn(task: Callable[[], Any], keep: set[object]) -> None:
    """Run `task` beside the others. It never raises, and nobody waits for it."""
    try:
        import asyncio

        running = asyncio.get_running_loop().create_task(task())
    except RuntimeError:
        import trio

        trio.lowlevel.spawn_system_task(task)
    else:
        keep.add(running)
        running.add_done_callback(keep.discard)
