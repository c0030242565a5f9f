"""The transport of every adapter that speaks to a server.

Connections belong to one event loop in one process; a second loop or a forked child gets fresh ones.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio.lowlevel
import httpx

from airframe._http.connectors import Connector, default_connector
from airframe._http.decompression import decompressor
from airframe._http.lanes import Lane, Lanes
from airframe._http.outgoing import outgoing
from airframe._http.routes import Route, route_to
from airframe._http.translation import translated
from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError, LimitExceededError, Phase
from airframe.transport import HttpRequest

__all__ = ["HttpResponse", "HttpTransport"]


class HttpTransport:
    """Sends requests. Safe to share between tasks, event loops, threads and forked processes."""

    def __init__(self, connector: Connector | None = None) -> None:
        self._connector = connector or default_connector
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._loops: dict[Any, dict[Route, Lanes]] = {}
        self._inherited: list[object] = []

    async def send(
        self, endpoint: EndpointSpec, request: HttpRequest, *, connect_timeout: float | None, header_bytes: int
    ) -> HttpResponse:
        """Send, and wait for the head of the answer; read its body to the end, or close it. Raises `AirframeError`."""
        pool = await self._pool(route_to(endpoint))
        lane = await pool.acquire()
        try:
            response = await lane.exchange(outgoing(request, connect_timeout, header_bytes))
            return HttpResponse(pool, lane, response, endpoint.origin)
        except BaseException as error:
            pool.discard(lane)
            if isinstance(error, Exception) and not isinstance(error, AirframeError):
                raise translated(error, Phase.SENT, endpoint.origin) from error
            raise

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        loop: Any = anyio.lowlevel.current_token().native_token
        for pool in self._loops.pop(loop, {}).values():
            await pool.aclose()

    async def _pool(self, route: Route) -> Lanes:
        if self._pid != os.getpid():
            # Forked. The parent's sockets are not ours to close, so they are only kept from being collected.
            self._inherited.append(self._loops)
            self._loops = {}
            self._lock = threading.Lock()
            self._pid = os.getpid()
        loop: Any = anyio.lowlevel.current_token().native_token
        if pool := self._loops.get(loop, {}).get(route):
            return pool
        with self._lock:
            for other in [other for other in self._loops if _is_over(other)]:
                del self._loops[other]
            pool = self._loops.setdefault(loop, {})[route] = Lanes(
                lambda: self._connector(route), route.max_connections, loop
            )
        await pool.close_with_loop()
        return pool


class HttpResponse:
    """The head of an answer, and its body piece by piece."""

    def __init__(self, pool: Lanes, lane: Lane, response: httpx.Response, origin: str) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._origin = origin
        self._pool = pool
        self._lane: Lane | None = lane
        self._pieces: AsyncIterator[bytes] = lane.pieces
        self._unfold = decompressor(self.headers.get("content-encoding", ""))
        self._received = 0

    async def read(self, limit: int) -> bytes:
        """The next piece of the body; empty at its end. Raises `AirframeError`, also beyond `limit` bytes in all."""
        if self._lane is None:
            return b""
        piece = self._unfold.leftover() if self._unfold else b""
        while not piece:
            try:
                piece = await anext(self._pieces, b"")
                if not piece:
                    await self._lane.finish()
                    self._end()
                    if self._unfold:
                        self._unfold.finish()
                    return b""
            except BaseException as error:
                self.abandon()
                if isinstance(error, Exception) and not isinstance(error, AirframeError):
                    raise translated(error, Phase.CONTENT, self._origin) from error
                raise
            if self._unfold:
                piece = self._unfold.feed(piece)
        self._received += len(piece)
        if self._received > limit:
            self.abandon()
            raise LimitExceededError(
                f"the answer is larger than Limits.body_bytes ({limit})", phase=Phase.CONTENT, limit="body_bytes"
            )
        return piece

    def abandon(self) -> None:
        """Disconnect now, without waiting. Safe from any thread and from garbage collection."""
        if lane := self._lane:
            self._lane = None
            self._pool.discard(lane)

    async def aclose(self) -> None:
        """Disconnect, unless the body was read to its end."""
        if self._lane is not None:
            self.abandon()
            await self._pool.bury()

    def _end(self) -> None:
        if lane := self._lane:
            self._lane = None
            self._pool.give_back(lane)


def _is_over(loop: Any) -> bool:
    """Whether an asyncio loop was closed. A trio run cannot be asked, but what is left of it is an empty pool."""
    return bool(loop.is_closed()) if hasattr(loop, "is_closed") else False
