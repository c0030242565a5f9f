"""What a server did, as data: the head of its answer, its body in pieces with the time between them, and how it ended.

Cassettes hold replies, faults change them, and whoever plays them (a transport, a server) does what they say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias, cast

from airframe.errors import (
    AirframeError,
    CallTimeoutError,
    ConnectionFailedError,
    MalformedAnswerError,
    Phase,
    TLSError,
    TruncatedAnswerError,
)

__all__ = ["BREAKDOWNS", "Breakdown", "Chunk", "End", "Event", "Reply"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """What arrived in one piece, and how many seconds after what came before."""

    data: bytes
    wait: float = 0.0


BREAKDOWNS: Mapping[str, type[AirframeError]] = {
    kind.__name__: kind
    for kind in (ConnectionFailedError, TLSError, CallTimeoutError, TruncatedAnswerError, MalformedAnswerError)
}
"""What may become of a connection, by name."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The connection fails: the name of the error (one of `BREAKDOWNS`), its words, and when it strikes."""

    error: str
    message: str
    phase: Phase = Phase.CONTENT
    wait: float = 0.0

    @classmethod
    def of(cls, error: AirframeError, wait: float) -> Self | None:
        """What `error` says of the connection; None if it says nothing of it."""
        if type(error).__name__ not in BREAKDOWNS:
            return None
        return cls(type(error).__name__, str(error), error.phase or Phase.CONTENT, wait)

    def to_error(self) -> AirframeError:
        """A new error to raise."""
        error = BREAKDOWNS[self.error](self.message, phase=self.phase)
        if isinstance(error, CallTimeoutError):
            error.timeout = "connect"  # the other timeouts are not the connection's
        return error


End: TypeAlias = Literal["complete", "silent", "left"] | Breakdown
"""How a body ends: as it should; not at all, with nothing more to come; unknown, because the one who recorded it had
left; or with the connection."""


@dataclass(frozen=True, slots=True)
class Event:
    """A part of a body that means something by itself, from byte `start` to byte `end`, and the document in it."""

    start: int
    end: int
    document: bytes

    def json(self) -> dict[str, object] | None:
        """The document, if it is a JSON object."""
        try:
            value: object = json.loads(self.document)
        except ValueError:
            return None
        return cast("dict[str, object]", value) if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer over HTTP. Header names are in lower case; `wait` is in seconds, until the head came."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    chunks: Sequence[Chunk] = ()
    end: End = "complete"
    wait: float = 0.0

    @classmethod
    def of(cls, body: bytes, *, status: int = 200, content_type: str = "application/json", **headers: str) -> Self:
        """A whole body in one piece. Header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status=status, headers={"content-type": content_type, **named}, chunks=(Chunk(body),))

    @property
    def body(self) -> bytes:
        """Everything that arrives."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def framing(self) -> Literal["sse", "ndjson", "document"]:
        """How the body is cut into events, by its content type."""
        content_type = self.headers.get("content-type", "")
        return "sse" if "event-stream" in content_type else "ndjson" if "ndjson" in content_type else "document"

    @property
    def succeeded(self) -> bool:
        """Whether the status says so."""
        return 200 <= self.status < 300

    def events(self) -> Sequence[Event]:
        """The events of the body; comments and blank lines are none."""
        body = self.body
        match self.framing:
            case "sse":
                found = [Event(*cut.span(), _data(cut[0])) for cut in _SSE_EVENT.finditer(body)]
                return [event for event in found if event.document]
            case "ndjson":
                return [Event(*cut.span(), cut[0].strip()) for cut in _LINE.finditer(body) if cut[0].strip()]
            case "document":
                return [Event(0, len(body), body)] if body else []

    def framed(self, document: bytes, name: str = "") -> bytes:
        """`document` as an event of this body."""
        match self.framing:
            case "sse":
                return (f"event: {name}\n".encode() if name else b"") + b"data: " + document + b"\n\n"
            case "ndjson":
                return document + b"\n"
            case "document":
                return document

    def spliced(self, start: int, end: int, data: bytes = b"") -> Self:
        """The reply with other bytes from `start` to `end`; they arrive in a piece of their own, the rest as before."""
        before, behind = self._cut(start)[0], self._cut(end)[1]
        return replace(self, chunks=(*before, *([Chunk(data)] if data else []), *behind))

    def cut_at(self, *offsets: int) -> Self:
        """The same bytes in smaller pieces: none goes on beyond one of these offsets."""
        places = iter(sorted(set(offsets)))
        place = next(places, None)
        chunks: list[Chunk] = []
        position = 0
        for chunk in self.chunks:
            start, wait, end = position, chunk.wait, position + len(chunk.data)
            while place is not None and place < end:
                if place > start:
                    chunks.append(Chunk(chunk.data[start - position : place - position], wait))
                    start, wait = place, 0.0
                place = next(places, None)
            chunks.append(Chunk(chunk.data[start - position :], wait))
            position = end
        return replace(self, chunks=tuple(chunks))

    def _cut(self, offset: int) -> tuple[list[Chunk], list[Chunk]]:
        """The pieces before and behind an offset; what stands across it is divided."""
        before: list[Chunk] = []
        behind: list[Chunk] = []
        position = 0
        for chunk in self.chunks:
            middle = min(max(offset - position, 0), len(chunk.data))
            if middle:
                before.append(Chunk(chunk.data[:middle], chunk.wait))
            if middle < len(chunk.data):
                behind.append(Chunk(chunk.data[middle:], 0.0 if middle else chunk.wait))
            position += len(chunk.data)
        return before, behind


_SSE_EVENT = re.compile(rb".+?(?:(?:\r\n|\n|\r(?!\n)){2}|\Z)", re.DOTALL)
_LINE = re.compile(rb"[^\n]+\n?|\n")
_SSE_DATA = re.compile(rb"^(?:data|error):[ ]?([^\r\n]*)", re.MULTILINE)


def _data(event: bytes) -> bytes:
    return b"\n".join(_SSE_DATA.findall(event.replace(b"\r\n", b"\n").replace(b"\r", b"\n")))
