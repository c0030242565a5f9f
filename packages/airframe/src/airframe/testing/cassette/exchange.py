"""What a cassette holds: requests as far as they matter, and the replies to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from airframe.testing.reply import Breakdown, Reply

__all__ = ["CassetteError", "CassetteExchange", "CassetteRequest"]


class CassetteError(ValueError):
    """A cassette that cannot be read, or a recording that must not be written. The message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CassetteRequest:
    """A request without its secrets. Header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""

    @property
    def readable_body(self) -> bytes:
        """The body; JSON is laid out line by line, so that a change in it shows as a change of a line."""
        try:
            document: object = json.loads(self.body)
        except ValueError:
            return self.body
        return json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True, kw_only=True)
class CassetteExchange:
    """A request and what came of it. `line` is where it begins in its file; 0 if it comes from none."""

    request: CassetteRequest
    reply: Reply | Breakdown
    line: int = 0
