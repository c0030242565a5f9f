r"""A server that does what a script says, down to the byte: for every fault that a real backend cannot be asked for.

    def answer_then_die(connection: Connection) -> None:
        connection.send(head(content_type="text/event-stream") + chunk(b'data: {"choices": []}\n\n'))
        connection.reset()

    with HostileServer(answer_then_die) as server:
        endpoint = EndpointSpec(base_url=server.base_url)
        ...
        await server.until(disconnects=1)

It speaks through plain sockets, one thread for each connection, so nothing is corrected, buffered or retried on the
way, and clients of any event loop, thread or process may call. It binds 127.0.0.1 only, takes no time of its own (a
script waits for the client, not for a clock), and remembers what it saw.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

import anyio
import anyio.to_thread

__all__ = ["Connection", "HostileServer", "ReceivedRequest", "Script", "chunk", "full_port", "head", "unused_port"]

_HOST = "127.0.0.1"
_RECEIVE_BYTES = 65536
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """A request as it arrived. Header names are in lower case. `connection` counts the server's connections from 0."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


class _ClientLeftError(Exception):
    """The client disconnected in the middle of a script, which ends here."""


class Connection:
    """One connection, as a script sees it: what was asked, and everything that can be done to who asked."""

    def __init__(self, plain: socket.socket, number: int) -> None:
        self._socket = plain
        self._received = b""
        self.number = number
        """Counts the server's connections from 0."""
        self.closed = False
        """True once the script has closed it."""
        self.request = ReceivedRequest(method="", target="", headers={}, body=b"", connection=number)
        """What is being answered; empty before anything was asked."""

    def send(self, data: bytes) -> None:
        """Send as it stands, at once. The script ends here if the client has left."""
        try:
            self._socket.sendall(data)
        except OSError:
            raise _ClientLeftError from None

    def repeat(self, data: bytes, *, pause: float = 0.0) -> None:
        """Send the same again and again until the client leaves, at full speed or with so many seconds in between."""
        while not (pause and self._left_within(pause)):
            self.send(data)
        raise _ClientLeftError

    def stall(self) -> None:
        """Say nothing more until the client leaves."""
        while not self._left_within(None):
            pass
        raise _ClientLeftError

    def close(self) -> None:
        """End the connection in an orderly way: FIN."""
        self.closed = True
        with suppress(OSError):
            self._socket.close()

    def reset(self) -> None:
        """End the connection by RST."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def _left_within(self, seconds: float | None) -> bool:
        """Whether the client leaves within this time; None waits for it. What it says meanwhile is not listened to."""
        try:
            readable, _, _ = select.select([self._socket], [], [], seconds)
            return bool(readable) and not self._socket.recv(_RECEIVE_BYTES)
        except (OSError, ValueError):
            return True

    # -- for the server

    def encrypt(self, tls: ssl.SSLContext) -> bool:
        """Do the server's part of the handshake; False if the client did not want to."""
        try:
            self._socket = tls.wrap_socket(self._socket, server_side=True)
        except (OSError, ValueError):  # the client hung up, or objected to the certificate
            return False
        return True

    def read_request(self) -> bool:
        """Wait for the next request; False if the client leaves instead."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                return False
        received_head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = received_head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        while len(self._received) < length:
            if not self._receive():
                return False
        body, self._received = self._received[:length], self._received[length:]
        self.request = ReceivedRequest(method=method, target=target, headers=headers, body=body, connection=self.number)
        return True

    def hang_up(self) -> None:
        """Wake the thread that serves it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> bool:
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except (OSError, ValueError):
            return False
        self._received += data
        return bool(data)


Script: TypeAlias = Callable[[Connection], None]
"""What happens after a request. It runs in a thread; when it returns, the next request of the connection is read."""


class HostileServer:
    """A context manager around a running server.

    Args:
        script: what happens after each request that was read whole.
        greet: what happens to a new connection before anything is read from it, encryption included.
        tls: the context to encrypt with; None is plain HTTP.

    `requests`, `connections`, `open_connections`, `busy`, `disconnects` and `failed_handshakes` say what it saw; wait
    for them with `until`.
    """

    def __init__(self, script: Script, *, greet: Script | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._greet = greet
        self._tls = tls
        self._changed = threading.Condition()
        self._open: dict[Connection, threading.Thread] = {}
        self._stopping = False
        self.requests: list[ReceivedRequest] = []
        """What was asked, in order."""
        self.connections = 0
        """How many were accepted."""
        self.busy = 0
        """How many scripts are running: each that stalls or repeats ends when its client leaves."""
        self.disconnects = 0
        """How many clients left in the middle of a script."""
        self.failed_handshakes = 0
        """How many clients did not finish the encryption."""
        self.failures: list[BaseException] = []
        """What scripts raised; leaving the context raises the first."""

    @property
    def open_connections(self) -> int:
        """How many connections stand now, idle ones included."""
        return len(self._open)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def base_url(self) -> str:
        """The root of all URLs, by the name `localhost` when encrypted: a certificate may know no addresses."""
        return f"https://localhost:{self.port}" if self._tls else f"http://{_HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server((_HOST, 0), backlog=256)
        self._acceptor = threading.Thread(target=self._accept, name="hostile-server", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping = True
        with suppress(OSError):
            socket.create_connection((_HOST, self.port)).close()  # wakes the acceptor
        self._acceptor.join()
        self._listener.close()
        with self._changed:
            still_open = list(self._open.items())
        for connection, thread in still_open:
            connection.hang_up()
            thread.join()
        if self.failures and exc is None:
            raise self.failures[0]

    async def until(self, *, within: float = 40.0, **expected: int) -> None:
        """Wait until it has seen what is expected: `await server.until(requests=2, busy=0)`.

        Raises `TimeoutError` with what it saw instead within so many seconds.
        """
        if not self._has_seen(expected):
            await anyio.to_thread.run_sync(partial(self.wait, within=within, **expected))

    def wait(self, *, within: float = 40.0, **expected: int) -> None:
        """The same for threads without an event loop."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_seen(expected), within):
                raise TimeoutError(f"the server was to see {expected}, and saw {self._seen()}")

    def _has_seen(self, expected: Mapping[str, int]) -> bool:
        return self._seen().items() >= expected.items()

    def _seen(self) -> dict[str, int]:
        return {
            "requests": len(self.requests),
            "connections": self.connections,
            "open_connections": self.open_connections,
            "busy": self.busy,
            "disconnects": self.disconnects,
            "failed_handshakes": self.failed_handshakes,
        }

    def _accept(self) -> None:
        while True:
            plain, _ = self._listener.accept()
            if self._stopping:
                plain.close()
                return
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(plain, self.connections)
            thread = threading.Thread(target=self._serve, args=[connection], name="hostile-connection", daemon=True)
            with self._changed:
                self.connections += 1
                self._open[connection] = thread
                self._changed.notify_all()
            thread.start()

    def _serve(self, connection: Connection) -> None:
        left = False
        try:
            self._converse(connection)
        except _ClientLeftError:
            left = True
        except Exception as error:  # noqa: BLE001 - a mistake in a script belongs to the test, not to this thread
            self.failures.append(error)
        finally:
            connection.close()
            with self._changed:
                self.disconnects += left
                del self._open[connection]
                self._changed.notify_all()

    def _converse(self, connection: Connection) -> None:
        if self._greet:
            self._greet(connection)
        if self._tls and not connection.closed and not connection.encrypt(self._tls):
            self.failed_handshakes += 1
            return
        while not connection.closed and connection.read_request():
            with self._changed:
                self.requests.append(connection.request)
                self.busy += 1
                self._changed.notify_all()
            try:
                self._script(connection)
            finally:
                with self._changed:
                    self.busy -= 1
                    self._changed.notify_all()


def head(
    status: int = 200,
    *,
    content_type: str = "application/json",
    content_length: int | None = None,
    chunked: bool = False,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The head of an answer; without length and chunks, its body ends with the connection."""
    lines = [f"HTTP/1.1 {status} Because", f"content-type: {content_type}"]
    if content_length is not None:
        lines.append(f"content-length: {content_length}")
    if chunked:
        lines.append("transfer-encoding: chunked")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes = b"", *, announced: int | None = None) -> bytes:
    """A piece of a chunked body; without data, its end. `announced` is the length it claims to have."""
    if not data:
        return _LAST_CHUNK
    return b"%x\r\n%b\r\n" % (len(data) if announced is None else announced, data)


def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def full_port() -> Generator[int]:
    """A port whose queue of new connections is full, so that further ones are not answered.

    On Linux; elsewhere queues are counted differently.
    """
    with socket.create_server((_HOST, 0), backlog=0) as listener, ExitStack() as waiting:
        port = int(listener.getsockname()[1])
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((_HOST, port))
        yield port
