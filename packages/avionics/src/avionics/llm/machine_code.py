"""What a backend calls an error, if it is a code and no sentence: sentences may quote what was asked."""

from __future__ import annotations

import re

__all__ = ["machine_code"]

_MACHINE_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


def machine_code(text: str | None) -> str | None:
    """Such as `insufficient_quota`; None for what could be anything."""
    return text if text is not None and _MACHINE_CODE.fullmatch(text) else None
