"""What calls used and cost, summed up: by agent, tenant, day, model or provider.

Agents, tenants and days have calls; models and providers have attempts, because a call may go through several. Their
totals of calls, attempts, tokens and costs are the same, since a call is the sum of its attempts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, case, func, null, select

from avionics.calls.nano_usd import usd
from avionics.calls.tables import attempt, call

__all__ = ["DIMENSIONS", "Dimension", "UsageGroup", "UsageReport", "UsageTotals", "usage_report"]

Dimension: TypeAlias = Literal["agent", "model", "provider", "tenant", "day"]

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
"""What usage can be summed up by."""

_SECONDS_A_DAY = 86_400
_NANOSECONDS_A_DAY = _SECONDS_A_DAY * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums of what is known.

    Attributes:
        calls: how many; by model or provider, a call counts where it was tried first.
        attempts: exchanges with backends.
        failures: calls without an answer; by model or provider, attempts without one.
        input_tokens, output_tokens, cache_read_tokens: as `airframe.types.Usage` has them.
        cost_usd: what is known to have been spent, estimates included.
        cost_low_usd, cost_high_usd: between these it lies.
        cost_estimated_usd: the part of it that rests on tokens that we counted ourselves.
        estimated: how many attempts that are.
        unpriced: attempts whose cost is unknown and not in the sum.
    """

    calls: int = 0
    attempts: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    cost_low_usd: Decimal = Decimal(0)
    cost_high_usd: Decimal = Decimal(0)
    cost_estimated_usd: Decimal = Decimal(0)
    estimated: int = 0
    unpriced: int = 0

    def __add__(self, other: UsageTotals) -> UsageTotals:
        names = [field.name for field in fields(self)]
        return UsageTotals(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageGroup:
    """The sums of one agent, model, provider, tenant or day. `key` is None for calls that name none."""

    key: str | None
    totals: UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """`groups` are sorted: days by date, without a gap; all others by cost, the greatest first. `by` None has none."""

    by: Dimension | None
    since_ns: int | None
    until_ns: int | None
    groups: Sequence[UsageGroup]
    totals: UsageTotals


def usage_report(
    connection: Connection, *, by: Dimension | None = None, since_ns: int | None = None, until_ns: int | None = None
) -> UsageReport:
    """The sums of all calls that began at `since_ns` or later and before `until_ns`, in Unix nanoseconds.

    Days are those of UTC.
    """
    rows = connection.execute(_grouped(by, since_ns, until_ns)).mappings()
    if by == "day":
        groups = _days({int(row["key"]): _totals(row) for row in rows})
    else:
        groups = [UsageGroup(key=row["key"], totals=_totals(row)) for row in rows]
        groups.sort(key=lambda group: (-group.totals.cost_usd, -group.totals.attempts, group.key or ""))
    return UsageReport(
        by=by,
        since_ns=since_ns,
        until_ns=until_ns,
        groups=groups if by else (),
        totals=sum((group.totals for group in groups), UsageTotals()),
    )


_OF_CALLS: Mapping[str, ColumnElement[Any]] = MappingProxyType(
    {
        "calls": func.count(),
        "attempts": func.sum(call.c.attempts),
        "failures": func.sum(case((call.c.outcome == "success", 0), else_=1)),
    }
)
_OF_ATTEMPTS: Mapping[str, ColumnElement[Any]] = MappingProxyType(
    {
        "calls": func.sum(case((attempt.c.number == 1, 1), else_=0)),
        "attempts": func.count(),
        "failures": func.count(attempt.c.category),
    }
)
_SUMMED = tuple(f.name for f in fields(UsageTotals) if f.name not in _OF_CALLS)


def _grouped(by: Dimension | None, since_ns: int | None, until_ns: int | None) -> Select[Any]:
    of_attempts = by in {"model", "provider"}
    table = attempt if of_attempts else call
    began = attempt.c.call_started_at_ns if of_attempts else call.c.started_at_ns
    key: ColumnElement[Any]
    match by:
        case None:
            key = null()
        case "day":
            key = began // _NANOSECONDS_A_DAY
        case "model":
            key = func.coalesce(attempt.c.model, attempt.c.response_model)  # as asked for, or else as the server said
        case _:
            key = table.c[by]
    sums = {name: func.sum(table.c[name.replace("_usd", "_nano_usd")]) for name in _SUMMED}
    columns = {**(_OF_ATTEMPTS if of_attempts else _OF_CALLS), **sums}
    query = select(key.label("key"), *(column.label(name) for name, column in columns.items()))
    if since_ns is not None:
        query = query.where(began >= since_ns)
    if until_ns is not None:
        query = query.where(began < until_ns)
    return query.group_by("key") if by else query


def _totals(row: RowMapping) -> UsageTotals:
    sums: dict[str, Any] = {}
    for field in fields(UsageTotals):
        number = int(row[field.name] or 0)  # no calls, no sum
        sums[field.name] = usd(number) if field.name.endswith("_usd") else number
    return UsageTotals(**sums)


def _days(totals: Mapping[int, UsageTotals]) -> list[UsageGroup]:
    """From the first day to the last; one on which nothing happened is a day, too."""
    days = range(min(totals), max(totals) + 1) if totals else ()
    return [UsageGroup(key=_date(day), totals=totals.get(day, UsageTotals())) for day in days]


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * _SECONDS_A_DAY, UTC).date().isoformat()
