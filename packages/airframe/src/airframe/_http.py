"""HTTP: the only file that knows httpx.

Every connection is a lane of its own: one httpx transport that holds at most one connection. Lanes are lent out by
our own limiter, so httpx's pool never queues, never searches, and never has to recover from a cancellation (which
httpcore 1.0.9's pool cannot): a lane whose exchange did not end well is thrown away with its connection. Pools belong
to one event loop in one process; a second loop or a forked child gets fresh ones.

What happens here: connections, bytes, compression, and translating exceptions. Deadlines and meaning live above.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import zlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio
import anyio.lowlevel
import httpx

from airframe._http1 import Http1Transport
from airframe.endpoints import EndpointSpec
from airframe.errors import (
    AirframeError,
    CallTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    InvalidRequestError,
    LimitExceededError,
    MalformedAnswerError,
    Phase,
    TLSError,
    TruncatedAnswerError,
)

__all__ = ["HttpRequest", "HttpResponse", "HttpTransport"]

KEEPALIVE_SECONDS = (
    30.0  # shorter than the idle limits of common proxies and servers, so that few reused connections are found dead
)
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # told apart by their headers
RESET_ON_CLOSE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # struct linger: on, for no time at all
DECOMPRESSED_PIECE = 1024 * 1024  # how much a single read may unfold, so that a bomb is noticed piece by piece


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request with everything decided: absolute URL, headers, body."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _Route:
    """What makes two connections interchangeable."""

    origin: str
    proxy: str | None
    ca_file: str | None
    client_cert: tuple[str, str] | None
    max_connections: int


Connector: TypeAlias = Callable[[_Route], httpx.AsyncBaseTransport]


class HttpTransport:
    """Sends requests. Safe to share between tasks, event loops, threads and forked processes."""

    def __init__(self, connector: Connector | None = None) -> None:
        self._connector = connector or default_connector
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._loops: dict[Any, dict[_Route, _Pool]] = {}
        self._inherited: list[object] = []

    async def send(
        self, endpoint: EndpointSpec, request: HttpRequest, *, connect_timeout: float | None, header_bytes: int
    ) -> HttpResponse:
        """Send, and wait for the head of the answer; read its body to the end, or close it. Raises `AirframeError`."""
        pool = await self._pool(_route(endpoint))
        lane = await pool.acquire()
        try:
            response = await lane.exchange(_outgoing(request, connect_timeout, header_bytes))
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

    async def _pool(self, route: _Route) -> _Pool:
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
            pool = self._loops.setdefault(loop, {})[route] = _Pool(
                lambda: self._connector(route), route.max_connections, loop
            )
        await pool.close_with_loop()
        return pool


class HttpResponse:
    """The head of an answer, and its body piece by piece."""

    def __init__(self, pool: _Pool, lane: _Lane, response: httpx.Response, origin: str) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._origin = origin
        self._pool = pool
        self._lane: _Lane | None = lane
        self._pieces: AsyncIterator[bytes] = lane.pieces
        self._unfold = _decompressor(self.headers.get("content-encoding", ""))
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


class _Lane:
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


class _Pool:
    """Lends out the lanes of one route in one event loop."""

    def __init__(self, connect: Callable[[], httpx.AsyncBaseTransport], size: int, loop: Any) -> None:
        self._connect = connect
        self._slots = anyio.Semaphore(size, fast_acquire=True)
        self._idle: list[_Lane] = []
        # Held here too, so that a forgotten stream is collected without its socket, which still has to be closed.
        self._lent: set[_Lane] = set()
        self._discarded: deque[_Lane] = deque()
        self._buried: set[object] = set()
        self._soon: Callable[[Callable[[], object]], object] = (
            loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
        )
        self._keeper: AsyncGenerator[None, None] | None = None
        self._closed = False
        self._pid = os.getpid()

    async def acquire(self) -> _Lane:
        """A lane, when one is free. Waiting callers are served in turn."""
        await self._slots.acquire()
        try:
            lane = self._idle.pop() if self._idle else _Lane(self._connect())
        except BaseException:
            self._slots.release()
            raise
        self._lent.add(lane)
        return lane

    def give_back(self, lane: _Lane) -> None:
        """The exchange ended well: the connection may serve again."""
        if lane.reusable() and not self._closed:
            self._lent.discard(lane)
            self._idle.append(lane)
            self._slots.release()
        else:
            self.discard(lane)

    def discard(self, lane: _Lane) -> None:
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


class _Decompressor:
    """Unfolds gzip or deflate, a bounded piece at a time."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP_OR_ZLIB)
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """What `data` unfolds to, up to a bound; the rest is for `leftover`."""
        self._pending += data
        return self.leftover()

    def leftover(self) -> bytes:
        """More of what came; empty when all of it is unfolded."""
        unfolded = b""
        while self._pending and not unfolded:
            if self._member.eof:  # RFC 1952, 2.2: one member may follow another
                self._member = zlib.decompressobj(GZIP_OR_ZLIB)
            try:
                unfolded = self._member.decompress(self._pending, DECOMPRESSED_PIECE)
            except zlib.error as error:
                raise MalformedAnswerError(f"the answer cannot be decompressed: {error}", phase=Phase.CONTENT) from None
            self._pending = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return unfolded

    def finish(self) -> None:
        """The body has ended. Raises `TruncatedAnswerError` if what it holds has not."""
        if not self._member.eof:
            raise TruncatedAnswerError("the answer was cut: its compressed data go on", phase=Phase.CONTENT)


def _decompressor(encoding: str) -> _Decompressor | None:
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return _Decompressor()
        case other:
            raise MalformedAnswerError(
                f"the answer is compressed as {other[:40]!r}, which was not asked for", phase=Phase.HEADERS
            )


def translated(error: Exception, phase: Phase, origin: str) -> AirframeError:
    """Our exception for one of the libraries underneath."""
    said = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectTimeout):
        timeout = CallTimeoutError(f"no connection to {origin} in time (Timeouts.connect)", phase=Phase.BEFORE_SEND)
        timeout.timeout = "connect"
        return timeout
    if _has_cause(error, ssl.SSLError) and phase is not Phase.CONTENT:
        return TLSError(f"no encrypted connection to {origin}: {said}", phase=Phase.BEFORE_SEND)
    if isinstance(error, (httpx.ConnectError, httpx.ProxyError)):
        return ConnectionFailedError(f"no connection to {origin}: {said}", phase=Phase.BEFORE_SEND)
    if isinstance(error, httpx.RemoteProtocolError):
        return _protocol_violation(said, phase, origin)
    if isinstance(error, (httpx.LocalProtocolError, UnicodeEncodeError)):
        return InvalidRequestError(f"the request cannot be sent as HTTP: {said}", phase=Phase.BEFORE_SEND)
    if isinstance(error, (httpx.UnsupportedProtocol, ImportError)):
        return ConfigurationError(f"{origin} cannot be reached this way: {said}", phase=Phase.BEFORE_SEND)
    return ConnectionFailedError(f"the connection to {origin} was lost: {said}", phase=phase)


def _protocol_violation(said: str, phase: Phase, origin: str) -> AirframeError:
    if "too long" in said:  # h11's words, at httpcore's 100 KiB; and our own transport's
        return LimitExceededError(
            f"the head or trailer of the answer is larger than Limits.header_bytes: {said}",
            phase=Phase.CONTENT if phase is Phase.CONTENT else Phase.HEADERS,
            limit="header_bytes",
        )
    if "without sending" in said:  # "a response", or "complete message body"
        if phase is Phase.CONTENT:
            return TruncatedAnswerError(f"the answer was cut: {said}", phase=phase)
        return ConnectionFailedError(f"the connection to {origin} was closed: {said}", phase=phase)
    return MalformedAnswerError(f"the answer is not valid HTTP: {said}", phase=phase)


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    seen: set[int] = set()  # under trio, the chain may be a ring
    while error is not None and id(error) not in seen:
        if isinstance(error, kind):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _route(endpoint: EndpointSpec) -> _Route:
    parts = urlsplit(endpoint.base_url)
    address = _address(parts.hostname or "")
    if address is not None and address.is_loopback:
        proxy = None
    elif endpoint.proxy or not endpoint.trust_env or (address is not None and address.is_private):
        proxy = endpoint.proxy
    else:
        proxies = {} if proxy_bypass(parts.netloc) else getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
    return _Route(endpoint.origin, proxy, endpoint.ca_file, endpoint.client_cert, endpoint.max_connections)


@lru_cache(maxsize=256)
def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host name spells; None for one that has to be looked up."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(host)
    except ValueError:
        return None


def default_connector(route: _Route) -> httpx.AsyncBaseTransport:
    """Our own transport, and httpx's for the way through a proxy."""
    if route.proxy is None:
        return Http1Transport(tls=_tls(route))
    return httpx_connector(route)


def httpx_connector(route: _Route) -> httpx.AsyncBaseTransport:
    """httpx's own transport."""
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS)
    try:
        return httpx.AsyncHTTPTransport(verify=_tls(route) or False, limits=limits, proxy=route.proxy, trust_env=False)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(f"the proxy of {route.origin} cannot be used: {type(error).__name__}") from None


class _Content(httpx.ByteStream):
    """A request's body. Read asynchronously, httpx's is a generator, and trio complains of one that is left hanging."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._pieces = iter([content])

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


def _outgoing(request: HttpRequest, connect_timeout: float | None, header_bytes: int) -> httpx.Request:
    """httpx's request. It is given a stream and finished headers, as it takes longer over anything else."""
    url = _parsed_url(request.url)
    headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in request.headers.items()]
    if "host" not in request.headers:
        headers.insert(0, (b"host", url.netloc))
    if request.body or request.method == "POST":
        headers.append((b"content-length", b"%d" % len(request.body)))
    # Everything but connecting is timed above, by one clock.
    timeout = {"connect": connect_timeout, "read": None, "write": None, "pool": None}
    extensions = {"timeout": timeout, "header_bytes": header_bytes}
    return httpx.Request(request.method, url, headers=headers, stream=_Content(request.body), extensions=extensions)


_parsed_url = lru_cache(maxsize=256)(httpx.URL)
"""Parsing a URL costs as much as sending it, and an endpoint has few."""


def _tls(route: _Route) -> ssl.SSLContext | None:
    return _tls_context(route.ca_file, route.client_cert) if route.origin.startswith("https:") else None


_tls_contexts: dict[tuple[str | None, tuple[str, str] | None], ssl.SSLContext] = {}


def _tls_context(ca_file: str | None, client_cert: tuple[str, str] | None) -> ssl.SSLContext:
    """Reading the certificates takes some 20 ms, and a context may be shared."""
    key = (ca_file, client_cert)
    if context := _tls_contexts.get(key):
        return context
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)
        if client_cert:
            context.load_cert_chain(*client_cert)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"ca_file or client_cert cannot be read: {error}") from None
    return _tls_contexts.setdefault(key, context)


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


def _is_over(loop: Any) -> bool:
    """Whether an asyncio loop was closed. A trio run cannot be asked, but what is left of it is an empty pool."""
    return bool(loop.is_closed()) if hasattr(loop, "is_closed") else False


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
