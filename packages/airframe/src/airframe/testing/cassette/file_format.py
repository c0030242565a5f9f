r"""Cassettes as files: text that people can read, and that shows in a review what changed.

    airframe cassette 1

    request POST http://127.0.0.1/v1/chat/completions
      authorization: [redacted]
      content-type: application/json
    | {
    |   "stream": true
    + }
    reply 200 after 0.012
      content-type: text/event-stream
    chunk after 0.031
    | data: {"choices":[{"delta":{"content":"Hi"}}]}
    |
    chunk after 0.002
    | data: [DONE]
    |
    end complete

Bytes are written by lines, after a mark: `|` a line and its line feed, `+` text without a line feed behind it, `"` text
as a JSON string (it holds what an editor would lose: a carriage return, blanks at the end), `=` base64. Times are in
seconds since what stands before.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from airframe.errors import Phase
from airframe.testing.cassette.exchange import CassetteError, CassetteExchange, CassetteRequest
from airframe.testing.cassette.redacting import check_exchange
from airframe.testing.reply import BREAKDOWNS, Breakdown, Chunk, End, Reply

__all__ = ["parse_cassette", "write_cassette", "written_request"]

HEADING = "airframe cassette 1"
BASE64_BYTES = 72  # in a line

_REQUEST = re.compile(r"request (\S+) (\S+)")
_REPLY = re.compile(r"reply ([1-5]\d\d) after (\S+)")
_HEADER = re.compile(r"  ([!#$%&'*+\-.^_`|~0-9a-z]+):(?: (.*))?")
_CHUNK = re.compile(r"chunk after (\S+)")
_END = re.compile(r"end (complete|silent|left)")
_BREAKDOWN = re.compile(r"(?:end )?breakdown (\w+) (\w+) after (\S+): (\".*\")")


def write_cassette(exchanges: Sequence[CassetteExchange]) -> str:
    """The text of a cassette."""
    return "\n".join((HEADING, *(line for exchange in exchanges for line in ("", *_written(exchange))), ""))


def written_request(request: CassetteRequest) -> Iterator[str]:
    """The lines of a request."""
    yield f"request {request.method} {request.url}"
    yield from _written_headers(request.headers)
    yield from _written_bytes(request.readable_body)


def _written(exchange: CassetteExchange) -> Iterator[str]:
    yield from written_request(exchange.request)
    reply = exchange.reply
    if isinstance(reply, Breakdown):
        yield _written_breakdown(reply)
        return
    yield f"reply {reply.status} after {reply.wait:.3f}"
    yield from _written_headers(reply.headers)
    for chunk in reply.chunks:
        yield f"chunk after {chunk.wait:.3f}"
        yield from _written_bytes(chunk.data)
    yield f"end {_written_breakdown(reply.end) if isinstance(reply.end, Breakdown) else reply.end}"


def _written_breakdown(breakdown: Breakdown) -> str:
    words = json.dumps(breakdown.message)
    return f"breakdown {breakdown.error} {breakdown.phase} after {breakdown.wait:.3f}: {words}"


def _written_headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        yield f"  {name}: {value}".rstrip()


def _written_bytes(data: bytes) -> Iterator[str]:
    lines = data.split(b"\n")
    last = lines.pop()
    for line in lines:
        text = _plain(line)
        yield "|" if text == "" else f"| {text}" if text is not None else _escaped(line + b"\n")
    if last:
        text = _plain(last)
        yield f"+ {text}" if text is not None else _escaped(last)


def _plain(line: bytes) -> str | None:
    """The line, if it can stand in a file as it is."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() and not text.endswith(" ") else None


def _escaped(line: bytes) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        starts = range(0, len(line), BASE64_BYTES)
        return "\n".join(f"= {base64.b64encode(line[start : start + BASE64_BYTES]).decode()}" for start in starts)
    shown = (c if c.isprintable() and c not in '"\\' else json.dumps(c)[1:-1] for c in text)
    return f'" {"".join(shown)}"'


def parse_cassette(text: str, path: Path) -> Sequence[CassetteExchange]:
    """Read the text of a cassette. Raises `CassetteError` that names file, line and field."""
    return _Parser(text, path).cassette()


class _Parser:
    """Goes through the lines; each method reads what its name says, and stops before what it does not know."""

    def __init__(self, text: str, path: Path) -> None:
        self._lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
        self._path = path
        self._at = 0

    def cassette(self) -> Sequence[CassetteExchange]:
        if self._line != HEADING:
            raise self._error("heading", f"the first line must be {HEADING!r}, and tells the version of the format")
        self._at += 1
        exchanges: list[CassetteExchange] = []
        while self._skip_blank_lines():
            exchange = self._exchange()
            if found := check_exchange(exchange):
                field, _, why = found.partition(": ")
                remedy = "take it out of the file, and revoke it if it is real"
                raise self._error(field, f"{why}; {remedy}", exchange.line)
            exchanges.append(exchange)
        return exchanges

    def _exchange(self) -> CassetteExchange:
        line = self._at + 1
        method, url = self._expect("request", _REQUEST, "'request POST http://127.0.0.1/v1/chat/completions'")
        request = CassetteRequest(method=method, url=url, headers=self._headers(), body=self._bytes())
        if self._line.startswith("breakdown"):
            return CassetteExchange(request=request, reply=self._breakdown(), line=line)
        status, wait = self._expect("reply", _REPLY, "'reply 200 after 0.012'")
        reply = Reply(
            status=int(status),
            wait=self._seconds("reply", wait),
            headers=self._headers(),
            chunks=tuple(self._chunks()),
            end=self._end(),
        )
        return CassetteExchange(request=request, reply=reply, line=line)

    def _headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        while self._line.startswith("  "):
            name, value = self._expect("header", _HEADER, "'  content-type: application/json', the name in lower case")
            if name in headers:
                raise self._error("header", f"{name} comes twice", self._at)
            headers[name] = value or ""
        return headers

    def _chunks(self) -> Iterator[Chunk]:
        while self._line.startswith("chunk"):
            (wait,) = self._expect("chunk", _CHUNK, "'chunk after 0.031'")
            seconds = self._seconds("chunk", wait)
            yield Chunk(self._bytes(), seconds)

    def _end(self) -> End:
        if self._line.startswith("end breakdown"):
            return self._breakdown()
        (word,) = self._expect("end", _END, "'end complete', 'end silent', 'end left' or 'end breakdown ...'")
        return cast("Literal['complete', 'silent', 'left']", word)

    def _breakdown(self) -> Breakdown:
        example = "'breakdown ConnectionFailedError before_send after 0.1: \"refused\"'"
        error, phase, wait, words = self._expect("breakdown", _BREAKDOWN, example)
        if error not in BREAKDOWNS:
            raise self._error("breakdown", f"the error must be one of {', '.join(BREAKDOWNS)}, got {error}", self._at)
        if phase not in set(Phase):
            raise self._error("breakdown", f"the phase must be one of {', '.join(Phase)}, got {phase}", self._at)
        return Breakdown(error, self._json_text(words, self._at), Phase(phase), self._seconds("breakdown", wait))

    def _bytes(self) -> bytes:
        pieces: list[bytes] = []
        while self._line[:1] in {"|", "+", '"', "="}:
            self._at += 1
            pieces.append(self._piece(self._lines[self._at - 1]))
        return b"".join(pieces)

    def _piece(self, line: str) -> bytes:
        mark, blank, rest = line[:1], line[1:2], line[2:]
        if blank not in {"", " "}:
            raise self._error("body", f"a blank belongs behind the mark {mark!r}", self._at)
        match mark:
            case "|":
                return rest.encode() + b"\n"
            case "+":
                return rest.encode()
            case '"':
                return self._json_text(f'"{rest}', self._at).encode()
            case _:
                try:
                    return base64.b64decode(rest, validate=True)
                except binascii.Error as error:
                    raise self._error("body", f"no valid base64 behind '=': {error}", self._at) from None

    def _json_text(self, written: str, line: int) -> str:
        try:
            text: object = json.loads(written)
        except ValueError as error:
            raise self._error("text", f"no valid JSON string: {error}", line) from None
        return str(text)

    def _seconds(self, field: str, written: str) -> float:
        try:
            seconds = float(written)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            raise self._error(field, f"the time must be 0 or more seconds, got {written!r}", self._at)
        return seconds

    def _expect(self, field: str, shape: re.Pattern[str], example: str) -> Sequence[str]:
        """What the next line holds, which must have a certain shape."""
        match = shape.fullmatch(self._line)
        if match is None:
            found = repr(self._line[:60]) if self._at < len(self._lines) else "the end of the file"
            raise self._error(field, f"expected {example}, found {found}")
        self._at += 1
        return match.groups()

    def _skip_blank_lines(self) -> bool:
        while self._at < len(self._lines) and (not self._line.strip() or self._line.startswith("#")):
            self._at += 1
        return self._at < len(self._lines)

    @property
    def _line(self) -> str:
        return self._lines[self._at] if self._at < len(self._lines) else ""

    def _error(self, field: str, message: str, line: int | None = None) -> CassetteError:
        return CassetteError(f"{self._path}, line {self._at + 1 if line is None else line}: {field}: {message}")
