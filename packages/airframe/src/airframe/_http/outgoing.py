"""A request of ours as httpx's: whole before it is sent, and cheap to make."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import lru_cache

import httpx

from airframe.transport import HttpRequest

__all__ = ["outgoing"]


class _Content(httpx.ByteStream):
    """A request's body. Read asynchronously, httpx's is a generator, and trio complains of one that is left hanging."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._pieces = iter([content])

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


def outgoing(request: HttpRequest, connect_timeout: float | None, header_bytes: int) -> httpx.Request:
    """httpx's request. It is given a stream and finished headers, as it takes longer over anything else."""
    url = _parsed_url(request.url)
    headers = [_field(name, value) for name, value in request.headers.items()]
    if "host" not in request.headers:
        headers.insert(0, (b"host", url.netloc))
    if request.body or request.method == "POST":
        headers.append((b"content-length", b"%d" % len(request.body)))
    # Everything but connecting is timed above, by one clock.
    timeout = {"connect": connect_timeout, "read": None, "write": None, "pool": None}
    extensions = {"timeout": timeout, "header_bytes": header_bytes}
    return httpx.Request(request.method, url, headers=headers, stream=_Content(request.body), extensions=extensions)


def _field(name: str, value: str) -> tuple[bytes, bytes]:
    if not _FIELD.fullmatch(f"{name}:{value}"):
        raise httpx.LocalProtocolError(f"the header {name[:40]!r} holds what no header may")
    return name.encode("ascii"), value.encode("ascii")


_FIELD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~]*")
"""RFC 9110, 5.1 and 5.5, without the bytes beyond ASCII, of which nobody knows what they mean."""

_parsed_url = lru_cache(maxsize=256)(httpx.URL)
"""Parsing a URL costs as much as sending it, and an endpoint has few."""
