"""Secrets: a value that does not show itself, and the removal of secrets from text that came from elsewhere.

Backends echo keys (OpenAI quotes the end of a wrong key, proxies quote whole headers), so every text of a backend
passes through `redact` before it becomes part of an error.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from typing import NoReturn
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "Secret", "redact"]

MASK = "[redacted]"

_KEY_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|xai|gsk|key|or)-[A-Za-z0-9_\-*.]{8,}"  # OpenAI, Anthropic, OpenRouter, xAI; also half-masked
    r"|\bgsk_[A-Za-z0-9]{16,}"  # Groq
    r"|\bhf_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"  # JSON Web Tokens (Entra)
    r"|(?<=\bBearer )\S+"
    r"|(?<=\bBasic )\S+"
)
_UNCHANGED = re.compile(r"[A-Za-z0-9_.~-]+")  # neither URLs nor JSON write these in another way
_ESCAPE = re.compile(r"%[0-9A-F]{2}")
_SHORTEST_SECRET = 4  # a shorter "secret" is a test's placeholder; masking it would hide ordinary words


class Secret:
    """A text that shows as `[redacted]` wherever it is printed, and refuses to be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not pickle; pass the name of its environment variable instead")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without `secrets`, in any form in which a server may echo them, and without what looks like a key."""
    forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
    for form in forms:
        text = text.replace(form, MASK)
    return _KEY_SHAPES.sub(MASK, _without_cut_secret(text, forms))


def _without_cut_secret(text: str, forms: Iterable[str]) -> str:
    """Messages are shortened before they come here, so the last thing in them may be the beginning of a secret."""
    end = len(text.rstrip("… "))
    for form in forms:
        for length in range(min(len(form) - 1, end), _SHORTEST_SECRET - 1, -1):
            if text.endswith(form[:length], 0, end):
                return text[: end - length] + MASK + text[end:]
    return text


def _forms(secret: str) -> Iterable[str]:
    if len(secret) < _SHORTEST_SECRET:
        return
    yield secret
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        yield encode(secret.encode()).decode().rstrip("=")
    if _UNCHANGED.fullmatch(secret):
        return
    for quoted in (quote(secret, safe=""), quote_plus(secret)):
        yield quoted
        yield _ESCAPE.sub(lambda escape: escape[0].lower(), quoted)
    yield html.escape(secret)
    yield secret.encode("unicode_escape").decode()
    yield json.dumps(secret)[1:-1]
    yield secret.replace("/", "\\/")  # how some JSON encoders write it
