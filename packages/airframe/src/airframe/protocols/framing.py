"""Bytes to frames: server-sent events and newline-delimited JSON, cut out of a byte stream however it arrives.

No text is decoded and no line is copied before a frame is whole, so the work is linear in the number of bytes and the
same for every way of cutting them. Sources: WHATWG HTML, section 9.2.6 (read 2026-11-20); NDJSON as Ollama sends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airframe.errors import LimitExceededError, Phase

__all__ = ["LineFramer", "SSEFrame", "SSEFramer"]

_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class SSEFrame:
    """One server-sent event: its name (empty if it has none) and its data lines, joined by line feeds."""

    event: bytes
    data: bytes


class LineFramer:
    """Cuts lines at LF, CR or CRLF, and nowhere else: U+2028 and U+0085 may stand inside JSON strings."""

    def __init__(self, line_bytes: int) -> None:
        self._limit = line_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that `data` completes, without their ends. Raises `LimitExceededError` at a line that is too long.

        What was yielded before stands. Nothing of `data` is kept until the iterator is run to its end.
        """
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._pieces:
            self._keep(lines[0])
            lines[0] = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
        if lines and self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(_BOM)
        if len(data) > self._limit or (lines and len(lines[0]) > self._limit):
            yield from self._checked(lines)
        else:
            yield from lines
        if rest:
            self._keep(rest)

    def finish(self) -> bytes:
        """What was left without a line end; empty if nothing."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        return rest.removeprefix(_BOM) if self._first else rest

    def _checked(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            if len(line) > self._limit:
                raise self._too_long()
            yield line

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._limit:
            raise self._too_long()

    def _too_long(self) -> LimitExceededError:
        return LimitExceededError(
            f"a line of the answer is longer than Limits.line_bytes ({self._limit})",
            phase=Phase.CONTENT,
            limit="line_bytes",
        )


class SSEFramer:
    """Cuts server-sent events. Comments, ids and retry times are dropped: no backend here gives them a meaning.

    Two things differ from the specification, both seen on the wire: an event is handed out by `finish` even without
    its blank line (whether it is whole, its JSON tells), and a line `error: ...` is an event of that name (llama.cpp
    before September 2025).
    """

    def __init__(self, line_bytes: int, event_bytes: int) -> None:
        self._lines = LineFramer(line_bytes)
        self._limit = event_bytes
        self._event = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[SSEFrame]:
        """The events that `data` completes. Raises `LimitExceededError`; what was yielded before stands."""
        return self._frames(self._lines.feed(data))

    def finish(self) -> SSEFrame | None:
        """The event that the end of the input left without its blank line, if any."""
        return next(self._frames((self._lines.finish(), b"")), None)

    def _frames(self, lines: Iterable[bytes]) -> Iterator[SSEFrame]:
        data = self._data
        for line in lines:
            if line.startswith(b"data: "):
                data.append(line[6:])
                self._size += len(line)
                if self._size > self._limit:
                    raise self._too_large()
            elif line:
                self._field(line)
            else:
                event, self._event = self._event, b""
                if data:
                    frame = SSEFrame(event, b"\n".join(data))
                    data.clear()
                    self._size = 0
                    yield frame

    def _field(self, line: bytes) -> None:
        """A line that is not blank."""
        if line.startswith(b"data:"):
            self._add(line[5:])
        elif line.startswith(b"event:"):
            self._event = line[6:].removeprefix(b" ")
        elif line.startswith(b"error:"):
            self._event = b"error"
            self._add(line[6:].removeprefix(b" "))
        elif line == b"data":
            self._add(b"")

    def _add(self, data: bytes) -> None:
        self._data.append(data)
        self._size += len(data) + 1  # an empty line takes memory, too
        if self._size > self._limit:
            raise self._too_large()

    def _too_large(self) -> LimitExceededError:
        return LimitExceededError(
            f"an event of the answer is larger than Limits.event_bytes ({self._limit})",
            phase=Phase.CONTENT,
            limit="event_bytes",
        )
