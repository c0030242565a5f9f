"""OpenRouter's `reasoning_details`: what a model thought, in blocks that go back just as they came.

In a stream a block comes in pieces: its texts are to be joined, and of everything else the last word counts. Which
block a piece belongs to, `type` and `index` tell together: recorded answers number a summary and its encrypted form
alike. Source: OpenRouter's documentation "Reasoning tokens", and recorded answers (read 2026-11-20).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from airframe.protocols.reading import JSONDict
from airframe.types.json_value import JSONValue

__all__ = ["ReasoningDetails"]

_JOINED = ("text", "summary", "data")


@dataclass(slots=True)
class _Block:
    last: JSONDict
    pieces: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def add(self, piece: JSONDict) -> None:
        self.last |= {key: value for key, value in piece.items() if value is not None or key not in self.last}
        for key in _JOINED:
            if isinstance(text := piece.get(key), str):
                self.pieces.setdefault(key, []).append(text)

    def whole(self) -> JSONDict:
        return self.last | {key: "".join(pieces) for key, pieces in self.pieces.items()}


class ReasoningDetails:
    """The blocks of one message."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._open: dict[tuple[object, object], _Block] = {}

    def take(self, blocks: Sequence[JSONDict]) -> None:
        """Take blocks that are whole."""
        for block in blocks:
            self._begin(block).add(block)

    def merge(self, pieces: Sequence[JSONDict]) -> None:
        """Take pieces of blocks."""
        for piece in pieces:
            key = (str(piece.get("type")), str(piece.get("index")))
            block = self._open.get(key)
            if block is None:
                block = self._open[key] = self._begin(piece)
            block.add(piece)

    def blocks(self) -> list[JSONValue]:
        """The blocks as they are to be sent back."""
        return [cast("JSONValue", block.whole()) for block in self._blocks]

    def _begin(self, first: JSONDict) -> _Block:
        block = _Block(dict(first))
        self._blocks.append(block)
        return block
