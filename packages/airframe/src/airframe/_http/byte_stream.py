"""Bytes to and from a socket, on asyncio and trio.

On asyncio this is a protocol of our own: it reads whenever there is something to read, and hands out all that has come
at once. anyio's stream, which serves trio here, starts and stops reading for every piece, at two system calls each.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import sys
from typing import Any, Protocol, cast

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream as AnyioStream
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

from airframe._http.happy_eyeballs import connected_socket

__all__ = ["ByteStream", "connect"]

READ_BYTES = 256 * 1024
MOST_UNREAD_BYTES = 128 * 1024  # then reading stops; decoding much more at once would hold up the event loop


class ByteStream(Protocol):
    """A connection. Errors are `OSError` or `ssl.SSLError`."""

    async def send(self, data: bytes) -> None:
        """Write all of it."""
        ...

    async def receive(self) -> bytes:
        """What has come, at least one byte; empty when the other side has finished."""
        ...

    def receive_nowait(self) -> bytes:
        """What has come already; empty if nothing."""
        ...

    def is_fresh(self) -> bool:
        """Whether an idle connection is still good: not closed by the other side, no bytes nobody asked for."""
        ...

    def socket(self) -> Any:
        """The socket underneath, for hanging up from any thread."""
        ...

    async def aclose(self) -> None:
        """Close without ceremony."""
        ...


async def connect(host: str, port: int, tls: ssl.SSLContext | None) -> ByteStream:
    """A connection. Raises `OSError` or `ssl.SSLError`."""
    loop: Any = anyio.lowlevel.current_token().native_token
    raw = await connected_socket(host, port)
    if isinstance(loop, asyncio.AbstractEventLoop):
        server_hostname = host if tls else None
        _, stream = await loop.create_connection(_AsyncioStream, sock=raw, ssl=tls, server_hostname=server_hostname)
        return stream
    return _AnyioStream(await _anyio_stream(raw, host, tls))


class _AsyncioStream(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._pieces: list[bytes] = []
        self._unread = 0
        self._paused = False
        self._over = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    # -- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._unread += len(data)
        if self._unread > MOST_UNREAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> bool:
        self._over = True
        _wake(self._reader)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._error = exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._writer = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        _wake(self._writer)
        self._writer = None

    # -- called by us

    async def send(self, data: bytes) -> None:
        if self._over:
            raise self._error or ConnectionResetError("the connection is closed")
        self._transport.write(data)
        if self._writer is not None:
            await self._writer
            if self._error is not None:
                raise self._error

    async def receive(self) -> bytes:
        if not self._pieces and not self._over:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        if data := self.receive_nowait():
            return data
        if self._error is not None:
            raise self._error
        return b""

    def receive_nowait(self) -> bytes:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._unread = 0
        if self._paused and not self._over:
            self._paused = False
            self._transport.resume_reading()
        return data

    def is_fresh(self) -> bool:
        return not self._over and not self._pieces and not _readable(self.socket())

    def socket(self) -> Any:
        return self._transport.get_extra_info("socket")

    async def aclose(self) -> None:
        self._transport.abort()


class _AnyioStream:
    def __init__(self, stream: AnyioStream) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise _cause(error) from error

    async def receive(self) -> bytes:
        try:
            return await self._stream.receive(READ_BYTES)
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise _cause(error) from error

    def receive_nowait(self) -> bytes:
        return b""

    def is_fresh(self) -> bool:
        return not _readable(self.socket())

    def socket(self) -> Any:
        return self._stream.extra(SocketAttribute.raw_socket, None)  # noqa: S610  # anyio's, not Django's

    async def aclose(self) -> None:
        await anyio.aclose_forcefully(self._stream)


async def _anyio_stream(raw: socket.socket, host: str, tls: ssl.SSLContext | None) -> AnyioStream:
    try:
        stream = await SocketStream.from_socket(raw)
    except ValueError as error:  # what anyio says of a connection that is gone already
        raw.close()
        raise ConnectionResetError("the connection was lost at once") from error
    if tls is None:
        return stream
    try:
        # Servers that close without a TLS goodbye are common; whether the answer is whole, its framing tells.
        return await TLSStream.wrap(
            stream, hostname=host, ssl_context=tls, server_side=False, standard_compatible=False
        )
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
        if isinstance(error, (anyio.BrokenResourceError, anyio.EndOfStream)):
            raise _cause(error) from error
        raise


def _readable(raw: Any) -> bool:
    """Whether an idle socket has something to say: the other side's goodbye, or bytes that no answer of ours can be."""
    if raw is None or raw.fileno() < 0:
        return True
    if sys.platform == "win32":  # no poll there
        return bool(select.select([raw.fileno()], [], [], 0)[0])
    poll = select.poll()
    poll.register(raw.fileno(), select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


def _cause(error: Exception) -> OSError:
    cause = error.__cause__
    return cause if isinstance(cause, OSError) else ConnectionResetError("the connection was lost")


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
