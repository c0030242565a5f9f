"""One connection of a fake server: HTTP as a well-behaved server speaks it, except where a reply wants it otherwise."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Protocol, cast

from typing_extensions import override

from airframe.testing.hostile.server import ReceivedRequest
from airframe.testing.reply import Breakdown, End, Reply

__all__ = ["Connection", "Owner"]


class Owner(Protocol):
    """The server, as a connection needs it."""

    @property
    def answer(self) -> Callable[[ReceivedRequest], Reply | Breakdown]:
        """Says what is answered to a request."""
        ...

    def opened(self, connection: Connection) -> int:
        """Notes a new connection, and gives it its number."""
        ...

    def closed(self, connection: Connection) -> None:
        """Notes that one is gone."""
        ...


class Connection(BaseHTTPRequestHandler):
    """Reads requests, and plays the replies to them."""

    protocol_version = "HTTP/1.1"
    server_version = "airframe-fake-server"
    disable_nagle_algorithm = True

    @override
    def setup(self) -> None:
        super().setup()
        self._owner = cast("Owner", self.server)
        self._ending = threading.Event()
        self._number = self._owner.opened(self)

    @override
    def handle(self) -> None:
        # The client may leave at any moment; that is its business.
        with suppress(ConnectionError):
            super().handle()

    @override
    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self._owner.closed(self)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed: what was asked stands in the server's lists."""

    def do_GET(self) -> None:
        """Play the reply to a question."""
        reply = self._owner.answer(self._received())
        if self._wait(reply.wait):
            return
        if isinstance(reply, Breakdown):
            self._end(reply)
        else:
            self._play(reply)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def hang_up(self) -> None:
        """Wake the thread that serves it; from another thread."""
        self._ending.set()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _received(self) -> ReceivedRequest:
        return ReceivedRequest(
            method=self.command,
            target=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
            connection=self._number,
        )

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", "0")))
        pieces: list[bytes] = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(pieces)

    def _play(self, reply: Reply) -> None:
        whole = reply.framing == "document" and reply.end == "complete"
        chunked = not whole and self.request_version != "HTTP/1.0"
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if whole:
            self.send_header("content-length", str(len(reply.body)))
        elif chunked:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("connection", "close")
        self.end_headers()
        for piece in reply.chunks:
            if self._wait(piece.wait):
                return
            if piece.data:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece.data), piece.data) if chunked else piece.data)
        if reply.end == "complete" and chunked:
            self.wfile.write(b"0\r\n\r\n")
        elif reply.end != "complete":
            self._end(reply.end)

    def _wait(self, seconds: float) -> bool:
        """Let time pass; whether the server ends meanwhile."""
        if self._ending.wait(seconds):
            self.close_connection = True
        return self._ending.is_set()

    def _end(self, end: End) -> None:
        """Let the connection end as it does: by silence, by a loss, or just so."""
        self.close_connection = True
        if isinstance(end, Breakdown) and self._wait(end.wait):
            return
        if end == "silent" or (isinstance(end, Breakdown) and end.error == "CallTimeoutError"):
            while select.select([self.connection], [], [])[0] and self.connection.recv(65536):
                pass
        elif isinstance(end, Breakdown) and end.error == "ConnectionFailedError":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()  # only when nobody holds it any more, the socket is closed: then RST is sent
            self.connection.close()
