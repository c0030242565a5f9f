"""A backend's error: what its body says in any of the shapes seen, and the category it belongs to.

The evidence is weighed in this order: a phrase recorded for a code that means several things, the machine code, the
HTTP status. What no table knows is `unknown`, is not retried, and keeps its body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeVar, cast

from pydantic_core import from_json

from airframe.errors import BackendError, ErrorCategory, Phase
from airframe.protocols.reading import JSONDict, excerpt
from airframe.rate_limits import parse_duration
from airframe.redaction import redact
from airframe.retry import parse_retry_after, parse_should_retry

__all__ = ["STATUS_CATEGORIES", "ErrorBody", "ErrorTable", "Phrase", "error_in", "read_error_body"]

T = TypeVar("T")

_C = ErrorCategory

_LONGEST_NUMBER = 16  # more digits than any honest moment has
_MAX_CODE_CHARACTERS = 100  # longer ones are no machine codes

STATUS_CATEGORIES: Mapping[int, ErrorCategory] = MappingProxyType(
    {
        400: _C.INVALID_REQUEST,
        401: _C.AUTH,
        402: _C.BILLING,
        403: _C.PERMISSION,
        404: _C.NOT_FOUND,
        405: _C.INVALID_REQUEST,
        408: _C.TIMEOUT,
        409: _C.CONFLICT,
        411: _C.INVALID_REQUEST,
        413: _C.INVALID_REQUEST,
        415: _C.INVALID_REQUEST,
        422: _C.INVALID_REQUEST,
        425: _C.OVERLOADED,
        429: _C.RATE_LIMIT,
        499: _C.TIMEOUT,
        500: _C.SERVER,
        501: _C.UNSUPPORTED,
        502: _C.OVERLOADED,
        503: _C.OVERLOADED,
        504: _C.TIMEOUT,
        529: _C.OVERLOADED,
    }
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of a message that decides the category, where the code and status around it mean several things.

    `text` is compared in lower case. `source` is where the words were seen.
    """

    text: str
    category: ErrorCategory
    source: str
    codes: frozenset[str] | None = None
    statuses: frozenset[int] | None = None

    def matches(self, body: ErrorBody, status: int) -> bool:
        """Whether the phrase stands in `body`, and under a code and status for which it counts."""
        return (
            self.text in body.message.lower()
            and (self.codes is None or not self.codes.isdisjoint(body.codes))
            and (self.statuses is None or status in self.statuses)
        )


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error says: its words, its machine codes, the most exact first, and when another try may succeed."""

    message: str = ""
    codes: tuple[str, ...] = ()
    retryable: bool | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorTable:
    """A wire format's codes and phrases, as data."""

    codes: Mapping[str, ErrorCategory]
    phrases: Sequence[Phrase] = ()
    statuses: Mapping[int, ErrorCategory] = field(default_factory=lambda: STATUS_CATEGORIES)

    def categorize(self, body: ErrorBody, status: int) -> ErrorCategory:
        """The category of an error; `unknown` when no table knows it."""
        for phrase in self.phrases:
            if phrase.matches(body, status):
                return phrase.category
        for code in body.codes:
            if category := self.codes.get(code):
                return category
        # Inside a 200 stream, some servers give the status as the code.
        numbers = [status, *(int(code) for code in body.codes if code.isdecimal() and len(code) == 3)]
        for number in numbers:
            if category := self.statuses.get(number):
                return category
        return _C.SERVER if any(number >= 500 for number in numbers) else _C.UNKNOWN

    def error(self, body: ErrorBody, *, status: int, headers: Mapping[str, str], raw: bytes) -> BackendError:
        """The exception for an error that a backend reported by status, or inside the answer."""
        code = redact(body.codes[0])[:_MAX_CODE_CHARACTERS] if body.codes else None
        said = body.message or (excerpt(raw) or "no explanation")
        return BackendError(
            f"the backend answered {status}{f' {code}' if code else ''}: {said}",
            category=self.categorize(body, status),
            phase=Phase.HEADERS if status >= 300 else Phase.CONTENT,
            status=status,
            code=code,
            retry_after=(parse_retry_after(headers) if status >= 400 else None) or body.retry_after,
            retryable=_first(parse_should_retry(headers) if status >= 400 else None, body.retryable),
            body=raw[:2048].decode("utf-8", "replace"),
        )


def read_error_body(raw: bytes) -> ErrorBody:
    """The words and codes of an error, whatever shape it has.

    Shapes seen: `{"error": {"message", "type", "code", ...}}` with codes that are text, integer or null; `{"error":
    "text"}`; `{"detail": ...}`; flat `{"message", "code", "type"}`; `{"code": "text", "error": "text"}`; with an
    `innererror` (Azure) or `metadata` and `availability` (OpenRouter); plain text; HTML; nothing.
    """
    try:
        value: object = from_json(raw)
    except ValueError:
        return ErrorBody(excerpt(raw))
    if not isinstance(value, dict):
        return ErrorBody(excerpt(raw))
    return error_in(cast("JSONDict", value))


def error_in(document: Mapping[str, object]) -> ErrorBody:
    """The same for a body that is parsed already."""
    inner = document.get("error")
    source = cast("JSONDict", inner) if isinstance(inner, dict) else document
    if isinstance(inner, str):
        message: object = inner
    else:
        message = (
            source.get("message") or source.get("detail") or source.get("error_message") or document.get("message")
        )
    metadata, availability = _inside(source, "metadata"), _inside(source, "availability")
    upstream = _upstream(metadata)
    codes = [
        *_codes(availability, "code"),
        *_codes(_inside(source, "innererror"), "code"),
        *_codes(metadata, "error_type"),
        *upstream.codes,
        *_codes(source, "code", "type", "error_type"),
    ]
    # Words before numbers: `exceed_context_size_error` says more than 400.
    codes.sort(key=str.isdecimal)
    said = message if isinstance(message, str) else "" if message is None else str(message)[:1000]
    retryable, wait = availability.get("retryable"), availability.get("retry_after")
    return ErrorBody(
        f"{said}: {upstream.message}" if upstream.message else said,
        tuple(codes),
        retryable if isinstance(retryable, bool) else None,
        _first(_positive(wait), _reset_wait(metadata), _wait_said(said)),
    )


def _upstream(metadata: Mapping[str, object]) -> ErrorBody:
    """What the provider behind OpenRouter said, which comes as a text in `metadata.raw`."""
    raw = metadata.get("raw")
    return read_error_body(raw.encode("utf-8", "replace")) if isinstance(raw, str) and raw else ErrorBody()


def _codes(owner: Mapping[str, object], *keys: str) -> list[str]:
    codes = (owner.get(key) for key in keys)
    return [
        str(code)
        for code in codes
        if isinstance(code, (str, int)) and not isinstance(code, bool) and str(code) not in {"", "error"}
    ]


def _inside(owner: Mapping[str, object], key: str) -> JSONDict:
    value = owner.get(key)
    return cast("JSONDict", value) if isinstance(value, dict) else {}


def _reset_wait(metadata: Mapping[str, object]) -> float | None:
    """Seconds until the `X-RateLimit-Reset` that OpenRouter puts into the body: Unix time in milliseconds."""
    moment = _inside(metadata, "headers").get("X-RateLimit-Reset")
    if not isinstance(moment, (str, int)) or not str(moment).isdecimal() or len(str(moment)) > _LONGEST_NUMBER:
        return None
    return _positive(int(moment) / 1000 - datetime.now(UTC).timestamp())


# Azure: "Please retry after 6 seconds."; OpenAI: "Please try again in 1.2s.", "... in 6m0s."
_WAIT_SAID = re.compile(
    r"(?:retry after|try again in) (\d{1,6}(?:\.\d+)? seconds?|(?:\d{1,6}(?:\.\d+)?(?:ms|h|m|s))+)", re.IGNORECASE
)


def _wait_said(message: str) -> float | None:
    found = _WAIT_SAID.search(message)
    return _positive(parse_duration(re.sub(" seconds?$", "s", found[1].lower()))) if found else None


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        return None
    return float(value)


def _first(*values: T | None) -> T | None:
    return next((value for value in values if value is not None), None)
