"""A server on this machine that answers from a script, for code in other processes and other languages.

    with FakeServer([Failure(ErrorCategory.OVERLOADED), Answer(chunks=["The sky ", "is blue."])]) as server:
        client = openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="made-up")
        ...
        assert server.requests[0].messages[0].text == "Why is the sky blue?"

The script is the one of `ScriptedAdapter`; here it is said in the words of whoever is asked: see `DIALECTS`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError, BackendError, ErrorCategory, InvalidRequestError
from airframe.protocols.reading import JSONDict, parse_object
from airframe.testing.hostile.server import ReceivedRequest
from airframe.testing.mutators import Mutator, chained
from airframe.testing.reply import Breakdown, Reply
from airframe.testing.script import Script, ScriptPlayer
from airframe.testing.server.connection import Connection
from airframe.testing.server.dialects import DIALECTS, Dialect, Facts
from airframe.testing.server.wire_format import Asked, WireFormat, encoded
from airframe.testing.steps import Answer, Step
from airframe.types import InferenceRequest

__all__ = ["FakeServer"]

_HOST = "127.0.0.1"


class FakeServer:
    """A context manager around a running server; it listens on 127.0.0.1 only, in a thread of its own.

    Its end raises what went wrong inside (a call for which the script has no step, a step that the format cannot say),
    and `AssertionError` if steps are left.

    Args:
        script: a `Script`, or its steps. The waits of its steps pass in real time.
        dialect: whom to play, a name in `DIALECTS`; None plays all of them at once, as the paths tell.
        port: the port to listen on; 0 takes a free one.
        faults: what happens to every answer on its way, besides what the script says of single ones.
        seed: of the faults.
    """

    def __init__(
        self,
        script: Script | Iterable[Step] = (),
        *,
        dialect: str | None = None,
        port: int = 0,
        faults: Mutator | Sequence[Mutator] = (),
        seed: int = 0,
    ) -> None:
        self._dialects = list(DIALECTS.values()) if dialect is None else [_known(dialect)]
        script = script if isinstance(script, Script) else Script(script)
        self.player = ScriptPlayer(script)
        """What goes through the script."""
        self.requests: list[InferenceRequest] = []
        """What was asked, as far as a script may answer according to it: words, tools, options."""
        self.received: list[ReceivedRequest] = []
        """Every request as it arrived, also for other things than answers."""
        self.failures: list[Exception] = []
        """What went wrong inside."""
        self._models = tuple(script.models) or ("scripted",)
        self._port = port
        self._faults, self._seed = chained(faults), seed
        self._lock = threading.Lock()
        self._waiting: deque[Reply] = deque()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def base_url(self) -> str:
        """The root of all URLs, without a path. Where two dialects have the same path, `url` tells them apart."""
        return f"http://{_HOST}:{self._port}"

    def url(self, dialect: str) -> str:
        """What clients of a dialect take as their base URL."""
        return f"{self.base_url}/{dialect}{_known(dialect).base_path}"

    def endpoint(self, dialect: str = "openai", **options: Any) -> EndpointSpec:
        """Where the adapter of this kind finds it; `options` are further fields of the `EndpointSpec`."""
        options.setdefault("backend_kind", dialect)
        return EndpointSpec(base_url=self.url(dialect), **options)

    def assert_played(self) -> None:
        """Raises what went wrong inside, or `AssertionError` if steps of the script are left."""
        if self.failures:
            raise self.failures[0]
        self.player.assert_played()

    def start(self) -> None:
        """Listen. `with` does this; whoever does it by hand must `stop`.

        Raises `OSError` when the port is taken.
        """
        self._listener = _Listener((_HOST, self._port), self)
        self._port = self._listener.server_port
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=[0.01], name="airframe-fake-server", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End every connection and listen no more."""
        self._listener.shutdown()
        self._thread.join()
        self._listener.hang_up()
        self._listener.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if exc is None:
            self.assert_played()

    # -- for its connections

    def answer(self, received: ReceivedRequest) -> Reply | Breakdown:
        """What is answered to a request."""
        path = urlsplit(received.target).path
        with self._lock:
            self.received.append(received)
        first, _, rest = path[1:].partition("/")
        named = [dialect for dialect in self._dialects if dialect.name == first]
        dialects, path = (named, f"/{rest}") if named else (self._dialects, path)
        for place in (path, f"/v1{path}"):
            for dialect in dialects:
                if place in dialect.facts:
                    return self._tell(dialect.facts[place], received)
                if received.method == "POST" and place in dialect.answers:
                    return self._answer(dialect.answers[place], received)
        return self._lost(dialects[0], f"there is no {received.method} {path} here")

    def _tell(self, facts: Facts, received: ReceivedRequest) -> Reply:
        body = parse_object(received.body) if received.body else {}
        return Reply.of(encoded(facts(self._models, body)))

    def _lost(self, dialect: Dialect, message: str) -> Reply:
        form = next(iter(dialect.answers.values()))
        return form.refuse(BackendError(message, category=ErrorCategory.NOT_FOUND))

    def _answer(self, form: WireFormat, received: ReceivedRequest) -> Reply | Breakdown:
        try:
            body = parse_object(received.body)
            asked = self._asked(form, body)
        except AirframeError as error:
            return form.refuse(InvalidRequestError(str(error)))
        with self._lock:
            self.requests.append(asked.request)
            if self._waiting:
                return self._waiting.popleft()
        try:
            return self._play(form, asked)
        except Exception as error:  # noqa: BLE001 - it belongs to the test, not to this thread
            self.failures.append(error)
            refusal = form.refuse(BackendError(str(error), category=ErrorCategory.INVALID_REQUEST))
            return replace(refusal, headers={**refusal.headers, "x-should-retry": "false"})

    def _asked(self, form: WireFormat, body: JSONDict) -> Asked:
        stream = body.get("stream")
        return Asked(
            request=form.read(body),
            stream=form.streams_by_default if stream is None else stream is True,
            model=self._models[0],
            usage_wanted=form.wants_usage(body),
        )

    def _play(self, form: WireFormat, asked: Asked) -> Reply | Breakdown:
        step = self.player.next_step(asked.request)
        number = self.player.played
        reply = form.reply(step, replace(asked, number=number))
        if isinstance(reply, Breakdown) or not isinstance(step, Answer):
            return reply
        faults = chained([*([step.faults] if step.faults else []), self._faults])
        first, *others = faults(reply, seed=self._seed + number - 1)
        with self._lock:
            self._waiting.extend(others)  # for those who ask again
        return first


def _known(dialect: str) -> Dialect:
    if dialect not in DIALECTS:
        raise ValueError(f"dialect must be one of {', '.join(DIALECTS)}, got {dialect!r}")
    return DIALECTS[dialect]


class _Listener(ThreadingHTTPServer):
    """Accepts connections, and knows those that are open."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], server: FakeServer) -> None:
        self.answer = server.answer
        self.accepted = 0
        self._open: set[Connection] = set()
        self._changed = threading.Condition()
        super().__init__(address, Connection)

    def opened(self, connection: Connection) -> int:
        """Note a new connection, and give it its number."""
        with self._changed:
            self._open.add(connection)
            self.accepted += 1
            return self.accepted - 1

    def closed(self, connection: Connection) -> None:
        """Note that one is gone."""
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()

    def hang_up(self) -> None:
        """End all connections, and wait for their threads to notice."""
        with self._changed:
            for connection in self._open:
                connection.hang_up()
            self._changed.wait_for(lambda: not self._open)
