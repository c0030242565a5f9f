"""A short name for a whole configuration: calls under the same settings can be told from those under others."""

from __future__ import annotations

import hashlib

from avionics.settings.settings import Settings

__all__ = ["fingerprint"]

_DIGITS = 16
_PLACES = {"config", "dotenv", "secrets_dir"}  # where settings stand does not matter


def fingerprint(settings: Settings) -> str:
    """16 hexadecimal digits, the same for equal settings. Secrets do not go into it: a new key is no new setting."""
    text = settings.model_dump_json(exclude=_PLACES, serialize_as_any=True)  # where keys are masked
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
