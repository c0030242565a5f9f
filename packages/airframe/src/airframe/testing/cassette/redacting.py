"""A recording without its secrets: masked where that is certain, refused where it is not.

Headers are kept by a list of names, because nobody can list the names of all that carry secrets: others keep their
name, and lose their value. What changes with every run and means nothing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from ipaddress import ip_address
from itertools import accumulate
from typing import cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from airframe.endpoints import EndpointSpec
from airframe.redaction import MASK
from airframe.testing.cassette.credentials import Secrets, find_credential
from airframe.testing.cassette.exchange import CassetteError, CassetteExchange, CassetteRequest
from airframe.testing.reply import Breakdown, Chunk, Reply
from airframe.transport import HttpRequest

__all__ = ["Redactor", "check_exchange"]

KEPT_HEADERS = (
    "accept",
    "anthropic-beta",
    "anthropic-ratelimit-*",
    "anthropic-version",
    "apim-request-id",
    "cf-ray",
    "content-type",
    "openai-beta",
    "openai-processing-ms",
    "openai-version",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "server",
    "x-generation-id",
    "x-ratelimit-*",
    "x-request-id",
    "x-should-retry",
)
"""Headers whose values are written: those that airframe reads, or that say what is spoken."""

LEFT_OUT = frozenset(
    {
        "accept-encoding",
        "access-control-allow-credentials",
        "access-control-allow-origin",
        "alt-svc",
        "connection",
        "content-encoding",  # what is recorded is the content
        "content-length",
        "date",
        "host",
        "keep-alive",
        "transfer-encoding",
        "user-agent",
        "vary",
    }
)
"""Headers of the connection, the moment and the version; writing them would only make files differ."""

KEPT_PARAMETERS = frozenset({"after", "api-version", "before", "beta", "limit", "model", "order", "stream"})
"""Query parameters whose values are written."""


_SCHEME = re.compile(r"(?:Bearer|Basic|Token) ", re.IGNORECASE)
_PORT = re.compile(r":\d+$")
_SECRET_HEADERS = frozenset({"api-key", "authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"})


class Redactor:
    """Makes exchanges fit to be written.

    Args:
        keep_headers: further headers whose values are no secrets; `*` stands for any characters.
    """

    def __init__(self, keep_headers: Collection[str] = ()) -> None:
        self._kept = (*KEPT_HEADERS, *(name.lower() for name in keep_headers))

    def request(self, request: HttpRequest, secrets: Secrets) -> CassetteRequest:
        """The request without its secrets. Raises `CassetteError` where that is not certain."""
        body = _masked_body(Reply.of(request.body), secrets, "the request's body").body
        return CassetteRequest(
            method=request.method,
            url=self._url(request.url, secrets),
            headers=self._headers(request.headers, secrets),
            body=body,
        )

    def exchange(self, request: CassetteRequest, reply: Reply | Breakdown, secrets: Secrets) -> CassetteExchange:
        """The exchange without the secrets in its reply. Raises `CassetteError` where that is not certain."""
        if isinstance(reply, Breakdown):
            reply = _masked_breakdown(reply, secrets)
        else:
            reply = _masked_body(reply, secrets, f"the answer's body to {request.method} {request.url}")
            end = _masked_breakdown(reply.end, secrets) if isinstance(reply.end, Breakdown) else reply.end
            reply = replace(reply, headers=self._headers(reply.headers, secrets), end=end)
        return CassetteExchange(request=request, reply=reply)

    def secrets(self, asked: Iterable[tuple[EndpointSpec, HttpRequest]]) -> Secrets:
        """What must not be written: the keys of all endpoints, and whatever headers say that are not kept."""
        keys: set[str] = set()
        others: set[str] = set()
        for endpoint, request in asked:
            keys.add(endpoint.key or "")
            for name, value in request.headers.items():
                if name.lower() in _SECRET_HEADERS:
                    keys.add(_SCHEME.sub("", value))
                elif not self._is_kept(name):
                    others.add(value)
        return Secrets(keys - {""}, others)

    def _is_kept(self, name: str) -> bool:
        name = name.lower()
        if name in _SECRET_HEADERS:
            return False
        return name in LEFT_OUT or any(fnmatchcase(name, pattern) for pattern in self._kept)

    def _headers(self, headers: Mapping[str, str], secrets: Secrets) -> dict[str, str]:
        return {
            name.lower(): _certain(secrets.masked(value), secrets, f"the header {name}")
            if self._is_kept(name)
            else MASK
            for name, value in sorted(headers.items())
            if name.lower() not in LEFT_OUT
        }

    def _url(self, url: str, secrets: Secrets) -> str:
        """Without secrets, and without the port of this machine, which is another one at each run."""
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = urlencode([(name, value if name in KEPT_PARAMETERS else MASK) for name, value in pairs], safe="[]")
        netloc = _PORT.sub("", parts.netloc) if _is_loopback(parts.hostname or "") else parts.netloc
        masked = urlunsplit((parts.scheme, netloc, secrets.masked(parts.path), secrets.masked(query), ""))
        return _certain(masked, secrets, "the URL")


def check_exchange(exchange: CassetteExchange) -> str | None:
    """What in an exchange looks like a credential, as `field: why`; None if nothing does."""
    request, reply = exchange.request, exchange.reply
    headers = [*request.headers.items(), *(() if isinstance(reply, Breakdown) else reply.headers.items())]
    for name, value in headers:
        if name in _SECRET_HEADERS and value != MASK:
            return f"header {name}: its value is not {MASK}"
    for name, value in parse_qsl(urlsplit(request.url).query):
        if name not in KEPT_PARAMETERS and value != MASK:
            return f"url: the value of its parameter {name!r} is not {MASK}"
    for field, text in [*_texts(request, reply), *((f"header {name}", f"{name}: {value}") for name, value in headers)]:
        if found := find_credential(text):
            return f"{field}: it holds {found}"
    return None


def _texts(request: CassetteRequest, reply: Reply | Breakdown) -> Iterator[tuple[str, str]]:
    yield "url", request.url
    yield "request body", _text(request.body)
    if isinstance(reply, Reply):
        yield from (("body", said) for said in (_text(reply.body), *_said(reply)))
    end = reply.end if isinstance(reply, Reply) else reply
    if isinstance(end, Breakdown):
        yield "breakdown", end.message


def _masked_body(reply: Reply, secrets: Secrets, where: str) -> Reply:
    """The reply with secrets masked, also those that arrive in several pieces. Raises `CassetteError` when in doubt."""
    # Latin-1 maps every byte to one character, so that places in the text are places in the body.
    for start, end in reversed(_joined(secrets.spans(reply.body.decode("latin-1")))):
        reply = _masked_bytes(reply, start, end)
    _certain(_text(reply.body), secrets, where)
    for said in _said(reply):
        if secrets.masked(said) != said:
            raise _refusal(where, "a secret is spread over several of its events")
        _certain(said, secrets, where)
    return reply


def _masked_bytes(reply: Reply, start: int, end: int) -> Reply:
    """The mask stands in the piece in which the secret began; the pieces stay in their number and time."""
    starts = list(accumulate((len(chunk.data) for chunk in reply.chunks), initial=0))
    chunks: list[Chunk] = []
    for begin, chunk in zip(starts, reply.chunks, strict=False):
        inner = slice(max(start - begin, 0), max(end - begin, 0))
        before, behind = chunk.data[: inner.start], chunk.data[inner.stop :]
        mask = MASK.encode() if begin <= start < begin + len(chunk.data) else b""
        chunks.append(replace(chunk, data=before + mask + behind))
    return replace(reply, chunks=tuple(chunks))


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans without overlaps, in order."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _masked_breakdown(breakdown: Breakdown, secrets: Secrets) -> Breakdown:
    return replace(breakdown, message=_certain(secrets.masked(breakdown.message), secrets, "the connection's error"))


def _certain(text: str, secrets: Secrets, where: str) -> str:
    if doubt := secrets.doubt(text):
        raise _refusal(where, doubt)
    return text


def _refusal(where: str, why: str) -> CassetteError:
    return CassetteError(
        f"it is not certain that this holds no secret, so it is not recorded: {where}: {why}. "
        "Ask something else, so that it does not come up"
    )


def _said(reply: Reply) -> list[str]:
    """What the events of a body say together: the texts that stand at the same place in each, joined."""
    texts: dict[str, list[str]] = {}
    for event in reply.events():
        if (document := event.json()) is not None:
            _collect(document, "", texts)
    return ["".join(pieces) for pieces in texts.values() if len(pieces) > 1]


def _collect(value: object, place: str, texts: dict[str, list[str]]) -> None:
    if isinstance(value, str):
        texts.setdefault(place, []).append(value)
    elif isinstance(value, dict):
        for name, member in cast("dict[str, object]", value).items():
            _collect(member, f"{place}.{name}", texts)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            _collect(item, place, texts)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
