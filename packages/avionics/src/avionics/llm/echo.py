"""What a continued answer repeats of its beginning.

llama.cpp gives the beginning back before it goes on (build 11549, `/v1/chat/completions`, whole and streamed); other
builds and its native API do not.
"""

from __future__ import annotations

__all__ = ["EchoFilter"]


class EchoFilter:
    """Takes the pieces of an answer and leaves out the beginning that was `said`, if they repeat it."""

    def __init__(self, said: str) -> None:
        self._expected = said
        self._matched = ""

    def feed(self, piece: str) -> str:
        """What is new in a piece; nothing, as long as it could be the echo."""
        if not self._expected:
            return piece
        if self._expected.startswith(piece):
            self._matched += piece
            self._expected = self._expected[len(piece) :]
            return ""
        new = piece.removeprefix(self._expected) if piece.startswith(self._expected) else self._matched + piece
        self._expected = self._matched = ""
        return new

    def finish(self) -> str:
        """Nothing more comes: what looked like an echo and was not the whole of it."""
        rest = self._matched if self._expected else ""
        self._expected = self._matched = ""
        return rest
