"""Bodies that come compressed, unfolded a bounded piece at a time."""

from __future__ import annotations

import zlib

from airframe.errors import MalformedAnswerError, Phase, TruncatedAnswerError

__all__ = ["Decompressor", "decompressor"]

GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # told apart by their headers
DECOMPRESSED_PIECE = 1024 * 1024  # how much a single read may unfold, so that a bomb is noticed piece by piece


class Decompressor:
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


def decompressor(encoding: str) -> Decompressor | None:
    """For a body of this `Content-Encoding`; None where nothing is to be done. Raises `MalformedAnswerError`."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return Decompressor()
        case other:
            raise MalformedAnswerError(
                f"the answer is compressed as {other[:40]!r}, which was not asked for", phase=Phase.HEADERS
            )
