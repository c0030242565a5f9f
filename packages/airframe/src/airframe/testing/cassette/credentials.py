"""What looks like a credential, and every form in which a known one may appear.

Recognizing is a matter of degree, so there are two answers: what certainly is a credential is masked in a recording,
and what only may be one (a value named `password`, a part of the key, the key in a disguise) makes it be refused.
Shapes: as documented by the vendors named beside them (read 2026-11-20).
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection, Iterator
from urllib.parse import quote, quote_plus, unquote

from airframe.redaction import MASK

__all__ = ["Secrets", "find_credential"]

_DIGIT = r"(?=[A-Za-z._~+/=\-]*[0-9])"  # words with hyphens are words; a key has digits in it

_SHAPES = re.compile(
    rf"\b(?:sk|pk|rk|xai|gsk|or)-{_DIGIT}[A-Za-z0-9_\-]{{16,}}"  # OpenAI, Anthropic, OpenRouter, xAI, Stripe
    r"|\b(?:sk|pk|xai)-[A-Za-z0-9_\-]{0,12}[*•]{3,}[A-Za-z0-9]*"  # half-masked, as OpenAI quotes a wrong key
    rf"|\b(?:gsk|hf|ghp|gho|ghs|github_pat|npm|r8|tgp)_{_DIGIT}[A-Za-z0-9_]{{16,}}"  # Groq, Hugging Face, GitHub, npm
    rf"|\b(?:glpat|pplx)-{_DIGIT}[A-Za-z0-9_\-]{{16,}}"  # GitLab, Perplexity
    r"|\bxox[abeprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Z])"  # AWS
    r"|\bAIza[0-9A-Za-z_\-]{35}"  # Google
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"  # JSON Web Tokens
    rf"|(?i:\b(?:bearer|basic)) +{_DIGIT}[A-Za-z0-9._~+/=\-]{{8,}}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_NAMED = re.compile(
    r"(?i)\b(?:x-)?(?:api[_-]?key|apikey|secret|client[_-]?secret|password|passwd|access[_-]?token|refresh[_-]?token"
    r'|authorization|credential)s?\\?["\']?\s*[:=]\s*\\?["\'](?!\[redacted\])(?=[^\s"\'\\]*\d)[^\s"\'\\]{8,}'
)

_SHORTEST_KEY = 8
"""A shorter one may be a word. It is not masked in texts: a text that holds it is refused."""


def find_credential(text: str) -> str | None:
    """What in `text` looks like a credential, in words that do not repeat it; None if nothing does."""
    if match := _SHAPES.search(text):
        return f"something with the shape of a key, which begins {match[0][:4]!r}"
    if match := _NAMED.search(text):
        name = re.split(r"[\\\"'\s:=]", match[0], maxsplit=1)[0]
        return f"a value named {name!r}"
    return None


class Secrets:
    """Known secrets of a recording.

    Args:
        keys: what must not appear in any form, nor a part of it.
        others: values that may be secret, such as those of unknown headers; short ones are passed over.
    """

    def __init__(self, keys: Collection[str], others: Collection[str] = ()) -> None:
        self._keys = {key for key in keys if len(key) >= _SHORTEST_KEY}
        self._short_keys = set(keys) - self._keys
        values = self._keys | {value for value in others if len(value) >= _SHORTEST_KEY}
        forms = sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)
        known = "|".join(re.escape(form) for form in forms)
        self._pattern = re.compile(known, re.IGNORECASE) if known else None

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where `text` certainly holds a secret, or something with the shape of one."""
        for pattern in (self._pattern, _SHAPES):
            if pattern is not None:
                yield from (match.span() for match in pattern.finditer(text))

    def masked(self, text: str) -> str:
        """`text` without what `spans` finds."""
        return _SHAPES.sub(MASK, self._pattern.sub(MASK, text) if self._pattern else text)

    def doubt(self, text: str) -> str | None:
        """Why it is not certain that masked `text` is free of secrets; None if it is."""
        if any(re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text) for key in self._short_keys):
            return "it holds the endpoint's key, which is so short that it may be a word; use a longer one"
        pieces = [piece for key in self._keys for piece in _pieces(key.casefold())]
        for reading in _readings(text):
            folded = reading.casefold()
            if any(piece in folded for piece in pieces):
                return "it holds the endpoint's key in a disguise, or a part of it"
        found = find_credential(text)
        return f"it holds {found}" if found else None


def _forms(secret: str) -> Iterator[str]:
    """How servers echo a secret: as it is, escaped for a URL, JSON or HTML, in base64 wherever it stands, or in hex."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield secret.replace("/", "\\/")
    yield html.escape(secret)
    yield secret.encode().hex()
    for offset in range(3):
        padded = b"\0" * offset + secret.encode()
        whole = padded[: len(padded) - len(padded) % 3]
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            # The first characters mix with what stands before; where it ends, with what stands behind.
            yield encode(whole).decode()[2 * offset - offset // 2 :]
    yield base64.standard_b64encode(secret.encode()).decode()


def _readings(text: str) -> Iterator[str]:
    """`text` as it is, and as it reads when escapes are undone, several times over, and blanks are left out."""
    yield text
    plain = text
    for _ in range(_MOST_ESCAPED):
        escaped, plain = plain, html.unescape(unquote(_ESCAPE.sub(_unescaped, plain)))
        if plain == escaped:
            break
        yield plain
    yield _BLANK.sub("", plain)
    yield plain[::-1]


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1] or escape[2], 16))


_MOST_ESCAPED = 4
_BLANK = re.compile(r"[\s\\]+")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})")


def _pieces(secret: str) -> Iterator[str]:
    """Every part of a secret that is long enough to give it away."""
    size = max(_SHORTEST_KEY, len(secret) // 2)
    return (secret[start : start + size] for start in range(len(secret) - size + 1))
