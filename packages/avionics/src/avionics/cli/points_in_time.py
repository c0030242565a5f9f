"""Points in time as people say them on a command line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import overload

from avionics.errors import ConfigurationError

__all__ = ["clock_time", "point_in_time"]

_AGO = re.compile(r"(\d{1,6})(m|h|d|w)")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NANOSECONDS = 1_000_000_000
_LATEST = 2**63 // _NANOSECONDS - 1  # in 2262: what a database can compare


@overload
def point_in_time(text: str, option: str) -> int: ...
@overload
def point_in_time(text: str | None, option: str) -> int | None: ...
def point_in_time(text: str | None, option: str) -> int | None:
    """Unix nanoseconds of `30m`, `12h`, `7d`, `2w` ago, or of a date or time in ISO 8601, which is UTC without a zone.

    None stays None. Raises `ConfigurationError` that names the option.
    """
    if text is None:
        return None
    try:
        seconds = _seconds(text)
    except (OverflowError, ValueError):
        seconds = -1
    if not 0 <= seconds <= _LATEST:
        raise ConfigurationError(
            f"{option}: {text!r} is no point in time; say 30m, 12h, 7d or 2w for so long ago, or 2026-11-20"
        )
    return seconds * _NANOSECONDS


def _seconds(text: str) -> int:
    if ago := _AGO.fullmatch(text):
        return int(time.time()) - int(ago[1]) * _SECONDS[ago[2]]
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def clock_time(unix_ns: int) -> str:
    """Such as `2026-11-20 14:03:09`, in UTC."""
    return datetime.fromtimestamp(unix_ns // _NANOSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%S")
