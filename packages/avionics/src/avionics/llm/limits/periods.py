"""For which stretch of the calendar a budget is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

__all__ = ["Per", "Period", "period_of", "zone"]

Per: TypeAlias = Literal["day", "month", "total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A day, a month, or all time. `name` tells it from the others; `ends_at` is in UTC, None for all time."""

    name: str
    ends_at: datetime | None


def zone(name: str) -> tzinfo:
    """The time zone; UTC needs no database of them."""
    return UTC if name == "UTC" else ZoneInfo(name)


def period_of(per: Per, moment: float, where: tzinfo) -> Period:
    """The day or month in which a moment of Unix time lies, by the calendar of a time zone."""
    if per == "total":
        return Period(name="total", ends_at=None)
    today = datetime.fromtimestamp(moment, where).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if per == "day":
        return Period(name=f"{today:%Y-%m-%d}", ends_at=(today + timedelta(days=1)).astimezone(UTC))
    first = today.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return Period(name=f"{first:%Y-%m}", ends_at=following.astimezone(UTC))
