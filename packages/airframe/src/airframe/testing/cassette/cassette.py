"""A recording of real traffic, and its replay.

with Cassette.record("weather.cassette") as cassette:
    adapter = OpenAIChatAdapter(transport=cassette.transport)
    ...

with Cassette.replay("weather.cassette") as cassette:
    adapter = OpenAIChatAdapter(transport=cassette.transport)
    ...
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from airframe._http.http_transport import HttpTransport
from airframe.endpoints import EndpointSpec
from airframe.testing.cassette.exchange import CassetteError, CassetteExchange
from airframe.testing.cassette.file_format import parse_cassette, write_cassette
from airframe.testing.cassette.matching import difference, is_same_request
from airframe.testing.cassette.recording import RecordingTransport
from airframe.testing.cassette.redacting import Redactor
from airframe.testing.clock import Clock
from airframe.testing.mutators import Mutator, chained
from airframe.testing.playback import PlaybackTransport
from airframe.testing.reply import Breakdown, Reply
from airframe.transport import HttpRequest, Transport

__all__ = ["Cassette", "Mode", "UnmatchedRequestError"]

Mode: TypeAlias = Literal["none", "once", "all"]
"""What is recorded: nothing, what has no file yet, or everything anew."""


class UnmatchedRequestError(AssertionError):
    """A request was made that is not in the cassette. The message shows how it differs from the nearest one."""


class Cassette:
    """A recording in a file, as a context manager, with or without `async`.

    While it records, leaving the context writes the file; if the block failed, nothing is written. While it replays,
    leaving the context raises `AssertionError` if an exchange was not played, or a request not found.

    Args:
        path: the file.
        mode: `none` replays; `once` replays if the file is there, and records otherwise; `all` records.
        faults: what happens to the replies on replay (see `airframe.testing.mutators`). Then exchanges may stay
            unplayed: a broken call may not get so far.
        seed: of the faults.
        clock: on which the recorded times pass on replay; by default they take no time.
        keep_headers: further headers whose values are no secrets, and are recorded; `*` stands for any characters.
        inner: the transport to record; by default the network.

    Raises:
        CassetteError: the file is missing or malformed, or holds something that looks like a credential; the message
            names file, line and field.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        mode: Mode = "once",
        faults: Mutator | Sequence[Mutator] = (),
        seed: int = 0,
        clock: Clock | None = None,
        keep_headers: Collection[str] = (),
        inner: Transport | None = None,
    ) -> None:
        if mode not in ("none", "once", "all"):
            raise ValueError(f"mode must be none, once or all, got {mode!r}")
        self.path = Path(path)
        self.recording = mode == "all" or (mode == "once" and not self.path.exists())
        """Whether this is a recording, and not a replay."""
        self._redactor = Redactor(keep_headers)
        self._faults = chained(faults)
        self._unmatched: list[UnmatchedRequestError] = []
        self._recorder = RecordingTransport(inner or HttpTransport()) if self.recording else None
        self._unplayed: list[CassetteExchange] = []
        if not self.recording:
            self._unplayed = [
                replace(exchange, reply=reply)
                for number, exchange in enumerate(_loaded(self.path))
                for reply in self._mutated(exchange.reply, seed + number)
            ]
        transport = self._recorder or PlaybackTransport(self._answer, clock=clock)
        self.transport: Transport = transport
        """For the adapters: `LlamaServerAdapter(transport=cassette.transport)`."""

    @classmethod
    def record(cls, path: str | Path, *, keep_headers: Collection[str] = (), inner: Transport | None = None) -> Self:
        """Record anew."""
        return cls(path, mode="all", keep_headers=keep_headers, inner=inner)

    @classmethod
    def replay(
        cls,
        path: str | Path,
        *,
        faults: Mutator | Sequence[Mutator] = (),
        seed: int = 0,
        clock: Clock | None = None,
        keep_headers: Collection[str] = (),
    ) -> Self:
        """Replay what was recorded, with `faults` if there are any."""
        return cls(path, mode="none", faults=faults, seed=seed, clock=clock, keep_headers=keep_headers)

    @property
    def unplayed(self) -> Sequence[CassetteExchange]:
        """What was not asked for yet."""
        return tuple(self._unplayed)

    def save(self) -> None:
        """Write what was recorded so far; nothing if that is nothing, or if this is a replay.

        Raises `CassetteError`, and writes nothing, when it is not certain that no secret is in it.
        """
        if self._recorder and (exchanges := self._recorder.exchanges(self._redactor)):
            text = write_cassette(exchanges)
            parse_cassette(text, self.path)  # refuses what looks like a credential
            _write(self.path, text)

    def assert_played(self) -> None:
        """Raises `AssertionError` for the first request that was not found, or if exchanges were not played."""
        if self._unmatched:
            raise self._unmatched[0]
        if self._unplayed and not self._faults.faults:
            left = [f"line {each.line}: {each.request.method} {each.request.url}" for each in self._unplayed]
            raise AssertionError(
                f"{self.path}: {len(left)} recorded exchanges were not asked for; if that is right, record anew:\n"
                + "\n".join(left)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None:
            self.save()
            self.assert_played()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.transport.aclose()
        self.__exit__(exc_type, exc, traceback)

    def _mutated(self, reply: Reply | Breakdown, seed: int) -> Sequence[Reply | Breakdown]:
        return (reply,) if isinstance(reply, Breakdown) else self._faults(reply, seed=seed)

    def _answer(self, endpoint: EndpointSpec, request: HttpRequest) -> Reply | Breakdown:
        try:
            asked = self._redactor.request(request, self._redactor.secrets([(endpoint, request)]))
        except CassetteError as error:
            raise self._note(f"{self.path} cannot have this request: {error}") from None
        for position, exchange in enumerate(self._unplayed):
            if is_same_request(exchange.request, asked):
                del self._unplayed[position]
                return exchange.reply
        raise self._note(
            f"{self.path} has no exchange left for {asked.method} {asked.url}; if the request is right, record anew. "
            f"What differs:\n{difference(asked, self._unplayed)}"
        )

    def _note(self, message: str) -> UnmatchedRequestError:
        """Whoever swallows the error meets it again at the end of the context."""
        error = UnmatchedRequestError(message)
        self._unmatched.append(error)
        return error


def _loaded(path: Path) -> Sequence[CassetteExchange]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CassetteError(f"{path} is not there; record it first: Cassette.record(path), or mode='once'") from None
    except OSError as error:
        raise CassetteError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CassetteError(f"{path} is not UTF-8 text, and no cassette") from None
    return parse_cassette(text, path)


def _write(path: Path, text: str) -> None:
    """The file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
