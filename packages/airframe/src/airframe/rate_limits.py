"""What an answer's headers say about the account's limits, in every form that backends use.

OpenAI and Groq: `x-ratelimit-reset-tokens: 1m12.5s`. Azure: bare seconds, and -1 for "none". Anthropic:
`anthropic-ratelimit-*` with times as RFC 3339. OpenRouter: Unix time in milliseconds. Sources: vendors' documentation
and recorded answers (read 2026-11-20).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from airframe.types.result import RateLimit

__all__ = ["parse_duration", "parse_rate_limit"]

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_EARLIEST_MOMENT = 1e9  # a larger number is no duration but Unix time, in seconds or milliseconds
_UNITS = (3600.0, 60.0, 1.0, 0.001)
_PREFIXES = ("x-ratelimit-{what}-{unit}", "anthropic-ratelimit-{unit}-{what}")


def parse_rate_limit(headers: Mapping[str, str], *, now: datetime | None = None) -> RateLimit | None:
    """The limits; None when the headers say nothing about them. Header names are expected in lower case."""
    if not any("ratelimit" in name for name in headers):
        return None

    def find(what: str, unit: str) -> str | None:
        names = (prefix.format(what=what, unit=unit) for prefix in _PREFIXES)
        return next((headers[name] for name in names if name in headers), None)

    found = RateLimit(
        limit_requests=_count(find("limit", "requests")),
        remaining_requests=_count(find("remaining", "requests")),
        reset_requests=_reset(find("reset", "requests"), now),
        limit_tokens=_count(find("limit", "tokens")),
        remaining_tokens=_count(find("remaining", "tokens")),
        reset_tokens=_reset(find("reset", "tokens"), now),
    )
    return found if found != RateLimit() else None


def parse_duration(value: str) -> float | None:
    """Seconds of a duration such as `6h0m0s`, `1m12.5s` or `6ms`; None for what is none."""
    match = _DURATION.fullmatch(value)
    if match is None or not any(match.groups()):
        return None
    return sum(float(number) * unit for number, unit in zip(match.groups(), _UNITS, strict=True) if number)


def _count(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() and len(value) < 16 else None


def _reset(value: str | None, now: datetime | None) -> float | None:
    """Seconds until the limit is new."""
    if not value or len(value) > 40:
        return None
    moment = now or datetime.now(UTC)
    if value.replace(".", "", 1).isdecimal():
        number = float(value)
        if number < _EARLIEST_MOMENT:
            return number
        since_epoch = number / 1000 if number > _EARLIEST_MOMENT * 100 else number
        return max(0.0, since_epoch - moment.timestamp())
    if (seconds := parse_duration(value)) is not None:
        return seconds
    try:
        until = datetime.fromisoformat(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - moment).total_seconds())
