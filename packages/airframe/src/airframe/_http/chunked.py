"""Chunked bodies (RFC 9112, 7.1), without any I/O: bytes in, content out."""

from __future__ import annotations

import re
from typing import Literal

import httpx

__all__ = ["ChunkedDecoder"]

MOST_LINE_BYTES = 4096
"""The longest line with a chunk's size. Nobody is known to send extensions there."""

CHUNK_BEGIN = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class ChunkedDecoder:
    """Takes a chunked body out of its framing: RFC 9112, 7.1."""

    def __init__(self, trailer_bytes: int) -> None:
        self.complete = False
        self.rest = b""
        """What is still to be read, or, after the end, what does not belong to the body."""
        self._left = 0  # of the chunk that is being read
        self.violation: httpx.RemoteProtocolError | None = None
        """Why nothing more can be read; raised once all that came before is handed out."""
        self._expected: Literal["size", "end of chunk", "trailer"] = "size"
        self._trailer_bytes_left = trailer_bytes

    def feed(self, data: bytes) -> bytes:
        """The content that `data` holds."""
        pieces: list[bytes] = []
        try:
            self._take(data, pieces)
        except httpx.RemoteProtocolError as violation:
            if not pieces:
                raise
            self.violation = violation
        return b"".join(pieces)

    def _take(self, data: bytes, pieces: list[bytes]) -> None:
        if self.rest:
            data, self.rest = self.rest + data, b""
        position = 0
        while not self.complete:
            if self._expected == "size":
                position = self._whole_chunks(data, position, pieces)
            if self._left:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
            end = data.find(b"\r\n", position)
            if end < 0:
                if len(data) - position > MOST_LINE_BYTES:
                    raise httpx.RemoteProtocolError(
                        f"no end of a line within {MOST_LINE_BYTES} bytes: {self._expected}"
                    )
                break
            self._line(data[position:end])
            position = end + 2
        self.rest = data[position:]

    def _whole_chunks(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Take the chunks that are there from beginning to end, as most are; tells where the first other one begins."""
        while match := CHUNK_BEGIN.match(data, position):
            begin = match.end()
            end = begin + int(match[1], 16)
            if end == begin or not data.startswith(b"\r\n", end):
                break
            pieces.append(data[begin:end])
            position = end + 2
        return position

    def _line(self, line: bytes) -> None:
        if self._expected == "size":
            match = CHUNK_SIZE.fullmatch(line)
            if match is None:
                raise httpx.RemoteProtocolError(f"no chunk size: {line[:40].decode('latin-1')!r}")
            self._left = int(match[1], 16)
            self._expected = "end of chunk" if self._left else "trailer"
        elif self._expected == "end of chunk":
            if line:
                raise httpx.RemoteProtocolError("a chunk is longer than announced")
            self._expected = "size"
        elif line:
            self._trailer_bytes_left -= len(line)
            if self._trailer_bytes_left < 0:
                raise httpx.RemoteProtocolError("too long: the trailer")
        else:
            self.complete = True
