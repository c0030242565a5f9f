"""HTTP/1.1 for one connection, as one of httpx's transports: strict, bounded, and no more than a model's answer needs.

httpx's own transport goes through a pool, a parser and a lock for every piece of a stream; that is most of what a
streamed event costs there. It also takes bytes beyond the end of one answer for the beginning of the next; this one
closes such a connection. Sources: RFC 9112 (HTTP/1.1), sections 2 to 7; RFC 9110, 5.5 and 5.6.

Errors are httpx's, because whoever stands at the seam expects them.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import anyio
import httpx

from airframe._http.byte_stream import ByteStream, connect
from airframe._http.chunked import ChunkedDecoder

__all__ = ["Http1Transport"]

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_CUT = "peer closed connection without sending complete message body"


class Http1Transport(httpx.AsyncBaseTransport):
    """One connection to one origin, made when it is first needed and again when the last one is not good any more."""

    def __init__(self, *, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._stream: ByteStream | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        message = _request_bytes(request)
        stream = await self._connection(request)
        try:
            await stream.send(message)
        except (OSError, ssl.SSLError) as error:
            raise httpx.WriteError(_said(error), request=request) from error
        reader = _Reader(stream, request.extensions["header_bytes"])
        version, status, headers = await reader.head()
        body = _body(self, reader, version, status, headers)
        return httpx.Response(status, headers=headers, stream=body, extensions={"network_stream": self})

    async def aclose(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    def get_extra_info(self, name: str) -> Any:
        """The socket, as httpcore's network streams give it."""
        return self._stream.socket() if self._stream is not None and name == "socket" else None

    async def _connection(self, request: httpx.Request) -> ByteStream:
        if self._stream is not None:
            if self._stream.is_fresh():
                return self._stream
            await self.aclose()
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        timeout: float | None = request.extensions.get("timeout", {}).get("connect")
        try:
            with anyio.fail_after(timeout):
                self._stream = stream = await connect(url.host, port, self._tls)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(_said(error), request=request) from error
        except (OSError, ssl.SSLError, UnicodeError) as error:
            raise httpx.ConnectError(_said(error), request=request) from error
        return stream


class _Reader:
    """Reads lines and pieces. What has come too early waits in the buffer."""

    def __init__(self, stream: ByteStream, header_bytes: int) -> None:
        self._stream = stream
        self.header_bytes = header_bytes
        """The longest head that is read, and the longest trailer."""
        self.buffer = b""

    async def head(self) -> tuple[bytes, int, list[tuple[bytes, bytes]]]:
        """HTTP version, status and headers of the final answer; interim ones (1xx) are passed over."""
        while True:
            lines = (await self._until_blank_line()).split(b"\r\n")
            match = _STATUS_LINE.fullmatch(lines[0])
            if match is None:
                raise httpx.RemoteProtocolError(f"no status line: {_quoted(lines[0][:80])}")
            status = int(match[2])
            if status == 101:
                raise httpx.RemoteProtocolError("the server switched to another protocol, which nobody asked for")
            if status >= 200:
                return match[1], status, [_field(line) for line in lines[1:]]

    async def more(self) -> bytes:
        """The next bytes; empty at the end of the connection."""
        if self.buffer:
            data, self.buffer = self.buffer, b""
            return data
        try:
            return await self._stream.receive()
        except (OSError, ssl.SSLError) as error:
            raise httpx.ReadError(_said(error)) from error

    async def _until_blank_line(self) -> bytes:
        searched = 0
        while (end := self.buffer.find(b"\r\n\r\n", searched)) < 0:
            self._check_head(len(self.buffer))
            searched = max(0, len(self.buffer) - 3)
            seen, self.buffer = self.buffer, b""
            data = await self.more()
            if not data:
                raise httpx.RemoteProtocolError(_CUT if seen else "Server disconnected without sending a response.")
            self.buffer = seen + data
        self._check_head(end)
        head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
        return head

    def _check_head(self, length: int) -> None:
        if length > self.header_bytes:
            raise httpx.RemoteProtocolError(f"too long: no end of the head within {self.header_bytes} bytes")


class _Body(httpx.AsyncByteStream):
    """A body, piece by piece. `_next` gives the next piece, empty at the proper end."""

    def __init__(self, transport: Http1Transport, reader: _Reader, *, keep_alive: bool) -> None:
        self._transport = transport
        self._reader = reader
        self._keep_alive = keep_alive
        self._over = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._over and (piece := await self._next()):
            return piece
        self._over = True
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Keep the connection only if the answer is over, nothing lies behind it, and the server keeps it too."""
        if not (self._over and self._keep_alive) or self._reader.buffer:
            await self._transport.aclose()

    async def _next(self) -> bytes:
        return b""


class _SizedBody(_Body):
    def __init__(self, transport: Http1Transport, reader: _Reader, *, keep_alive: bool, size: int) -> None:
        super().__init__(transport, reader, keep_alive=keep_alive)
        self._left = size

    async def _next(self) -> bytes:
        if not self._left:
            return b""
        data = await self._reader.more()
        if not data:
            raise httpx.RemoteProtocolError(_CUT)
        if len(data) > self._left:
            data, self._reader.buffer = data[: self._left], data[self._left :]
        self._left -= len(data)
        return data


class _EndlessBody(_Body):
    """A body that lasts as long as the connection (HTTP/1.0, as mlx_lm.server sends it)."""

    async def _next(self) -> bytes:
        return await self._reader.more()


class _ChunkedBody(_Body):
    def __init__(self, transport: Http1Transport, reader: _Reader, *, keep_alive: bool) -> None:
        super().__init__(transport, reader, keep_alive=keep_alive)
        self._decoder = ChunkedDecoder(reader.header_bytes)

    async def _next(self) -> bytes:
        """What all chunks that have come hold, joined: servers send one for each event."""
        if self._decoder.violation is not None:
            raise self._decoder.violation
        content = b""
        while not content and not self._decoder.complete:
            data = await self._reader.more()
            if not data:
                raise httpx.RemoteProtocolError(_CUT)
            content = self._decoder.feed(data)
        if self._decoder.complete:
            self._reader.buffer = self._decoder.rest
        return content


def _body(
    transport: Http1Transport, reader: _Reader, version: bytes, status: int, fields: list[tuple[bytes, bytes]]
) -> _Body:
    """How the body ends: RFC 9112, 6.3."""
    headers = _combined(fields)
    keep_alive = version == b"1" and b"close" not in headers.get(b"connection", b"").lower()
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if status in {204, 304}:
        return _Body(transport, reader, keep_alive=keep_alive)
    if coding is not None:
        if coding.lower() != b"chunked":
            raise httpx.RemoteProtocolError(f"unknown transfer coding: {_quoted(coding[:40])}")
        return _ChunkedBody(transport, reader, keep_alive=keep_alive and length is None)
    if length is not None:
        sizes = {size.strip() for size in length.split(b",")}
        size = sizes.pop()
        if sizes or not size.isdigit() or len(size) > 15:
            raise httpx.RemoteProtocolError(f"no content length: {_quoted(length[:40])}")
        return _SizedBody(transport, reader, keep_alive=keep_alive, size=int(size))
    return _EndlessBody(transport, reader, keep_alive=False)


def _combined(fields: list[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, value in fields:
        name = name.lower()
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD_LINE.fullmatch(line)
    if match is None:
        raise httpx.RemoteProtocolError(f"no header: {_quoted(line[:80])}")
    return match[1], match[2]


def _request_bytes(request: httpx.Request) -> bytes:
    """The request as it goes out, in one piece: a head and a body sent apart cost a delayed acknowledgement."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [name + b": " + value for name, value in request.headers.raw]
    body = b"".join(cast("httpx.SyncByteStream", request.stream))
    return b"\r\n".join((*lines, b"", body))


def _quoted(data: bytes) -> str:
    """Bytes of a head, as they are written."""
    return repr(data.decode("latin-1"))


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
