"""Which recorded exchange answers a request, and how to say that none does."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence

from airframe.redaction import MASK
from airframe.testing.cassette.exchange import CassetteExchange, CassetteRequest
from airframe.testing.cassette.file_format import written_request

__all__ = ["difference", "is_same_request"]


def is_same_request(recorded: CassetteRequest, asked: CassetteRequest) -> bool:
    """Whether method, URL, body and the headers that are written agree. JSON is compared by what it means.

    A masked header may be missing: who replays a recording needs no key.
    """
    return (
        (recorded.method, recorded.url) == (asked.method, asked.url)
        and _shown(recorded) == _shown(asked)
        and _meaning(recorded.body) == _meaning(asked.body)
    )


def difference(asked: CassetteRequest, unplayed: Sequence[CassetteExchange]) -> str:
    """How a request differs from the unplayed one that is most like it, line by line."""
    if not unplayed:
        return "every recorded exchange has been played already"
    lines = _lines(asked)
    nearest = max(unplayed, key=lambda exchange: difflib.SequenceMatcher(None, _lines(exchange.request), lines).ratio())
    where = f"recorded in line {nearest.line}" if nearest.line else "recorded"
    return "\n".join(difflib.unified_diff(_lines(nearest.request), lines, where, "asked now", lineterm="", n=2))


def _shown(request: CassetteRequest) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if value != MASK}


def _meaning(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _lines(request: CassetteRequest) -> list[str]:
    return list(
        written_request(
            CassetteRequest(method=request.method, url=request.url, headers=_shown(request), body=request.body)
        )
    )
