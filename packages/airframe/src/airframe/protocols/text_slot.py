"""Chunks that say the same as the one before, but for one text: that text is read, and nothing else.

A streamed answer is a thousand documents of JSON, alike but for a word. Parsing them, and finding out a thousand times
that the model is still called the same, is most of what reading a stream costs.

Nothing is guessed. JSON is read from left to right, so if `before + word + after` is a document in which the word
stands in a certain place, then so it does in `before + another word + after`, and all else is the same. That the word
stands in that place, and only there, is tried out with a word of our own when the slot is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from pydantic_core import from_json

from airframe.protocols.reading import JSONDict
from airframe.types.events import StreamEvent

__all__ = ["Refrain", "Say", "TextSlot"]

Say: TypeAlias = Callable[[str, list[StreamEvent]], None]
"""Takes a text, and appends its event."""

MOST_VAIN_SLOTS = 4
"""After so many in a row that were never used, no more are looked for: OpenAI puts random letters into each chunk."""

LARGEST_CHUNK = 16 * 1024
"""A chunk of a few words is smaller. To look through megabytes would hold up the event loop."""

_PROBE = "\x00"
_PROBE_BYTES = rb'"\u0000"'
_SHORTEST = len(b'""')


class TextSlot:
    """Where the text is in a chunk that was parsed, so that it need not be in the next ones."""

    __slots__ = ("_after", "_before")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after

    @classmethod
    def find(cls, data: bytes, document: JSONDict, owner: JSONDict, key: str) -> TextSlot | None:
        """The slot of the text `owner[key]` in `data`, of which `document` was parsed and of which `owner` is a part.

        None if it cannot be told from the bytes.
        """
        if len(data) > LARGEST_CHUNK:
            return None
        match = re.search(rb'"' + re.escape(key.encode()) + rb'"\s*:\s*("(?:[^"\\]|\\.)*")', data)
        if match is None:
            return None
        before, after = data[: match.start(1)], data[match.end(1) :]
        text, owner[key] = owner[key], _PROBE
        try:
            found: bool = from_json(before + _PROBE_BYTES + after) == document
        except ValueError:
            found = False
        finally:
            owner[key] = text
        return cls(before, after) if found else None

    def read(self, data: bytes) -> str | None:
        """The text in `data`; None if that differs in anything else, or is not JSON."""
        before, after = self._before, self._after
        if not (data.startswith(before) and data.endswith(after)):
            return None
        if len(data) < len(before) + _SHORTEST + len(after):
            return None
        try:
            text: object = from_json(data[len(before) : len(data) - len(after)])
        except ValueError:
            return None
        return text if isinstance(text, str) else None


class Refrain:
    """Takes chunks that say the same as the one before, but for one text."""

    __slots__ = ("_say", "_slot", "_vain")

    def __init__(self) -> None:
        self._slot: TextSlot | None = None
        self._say: Say
        self._vain = 0

    @property
    def wanted(self) -> bool:
        """Whether it is worth while to `learn`."""
        return self._vain < MOST_VAIN_SLOTS

    def learn(self, data: bytes, document: JSONDict, owner: JSONDict, key: str, say: Say) -> None:
        """A chunk was read that holds the text `owner[key]`, and nothing that counts when it is said again.

        `say` is what is done with the text.
        """
        self._slot = TextSlot.find(data, document, owner, key)
        self._say = say
        self._vain += 1

    def take(self, data: bytes, out: list[StreamEvent]) -> bool:
        """Say what `data` says. False if it is no repetition; then the chunk must be read, and may be learnt."""
        if self._slot is None:
            return False
        if text := self._slot.read(data):
            self._say(text, out)
            self._vain = 0
            return True
        self._slot = None
        return False
