"""What was said, as a chain: each message is kept under the hash of itself and of all before it.

    system ── question ── answer ── question ── answer      a conversation
                   └───── answer                            the same question, asked again

So a conversation that grows adds its new messages only, and calls that begin alike share their beginning.
"""

from __future__ import annotations

import hashlib
import json

from airframe.types import JSONValue, Message
from avionics.calls.columns import Row
from avionics.llm.content_filter import ContentFilter
from avionics.llm.message_json import message_to_json

__all__ = ["CapturedMessages"]


class CapturedMessages:
    """The messages of one call, as rows of the table `content`."""

    def __init__(self, capture: ContentFilter) -> None:
        self.rows: list[Row] = []
        self._capture = capture
        self._last: str | None = None

    def add(self, *messages: Message) -> str | None:
        """The id of the last message so far; from it, all before it are found. None when there is none."""
        for message in messages:
            self._add(json.dumps(self._filtered(message_to_json(message)), ensure_ascii=False, sort_keys=True))
        return self._last

    def _add(self, message: str) -> None:
        text = message.encode("utf-8", "replace")
        parent = self._last
        self._last = hashlib.sha256((parent or "").encode() + b"\n" + text).hexdigest()
        self.rows.append({"id": self._last, "parent_id": parent, "message": text.decode()})

    def _filtered(self, value: JSONValue, name: str = "") -> JSONValue:
        match value:
            case str() if name == "data":
                return f"[{len(value)} characters of base64]"  # pictures and sound are not kept
            case str():
                return self._capture.text(value)
            case list() | tuple():
                return [self._filtered(item) for item in value]
            case dict():
                return {key: self._filtered(item, key) for key, item in value.items()}
            case _:
                return value
