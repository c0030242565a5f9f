"""What calls used and cost, summed up: by agent, tenant, day, model or provider.

Agents, tenants, variants and days have calls; models, providers and deployments have attempts, because a call may go
through several. Their totals of calls, attempts, tokens and costs are the same, since a call is the sum of its
attempts. One without any, such as a hit of the response cache, counts where its answer came from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    case,
    func,
    literal_column,
    select,
)

from avionics.calls.nano_usd import usd
from avionics.calls.tables import attempt, call

__all__ = ["DIMENSIONS", "OF_ATTEMPTS", "Dimension", "UsageGroup", "UsageReport", "UsageTotals", "usage_report"]

Dimension: TypeAlias = Literal["agent", "model", "provider", "tenant", "day", "variant", "deployment"]

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
"""What usage can be summed up by."""

OF_ATTEMPTS: frozenset[Dimension] = frozenset({"model", "provider", "deployment"})
"""Those that attempts have, and not calls."""

_SECONDS_A_DAY = 86_400
_A_DAY = literal_column(str(_SECONDS_A_DAY * 1_000_000_000), BigInteger)
"""In nanoseconds, and spelled out as in the index that SQLite has for this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums of what is known.

    Attributes:
        calls: how many; by model or provider, a call counts where it was tried first.
        attempts: exchanges with backends.
        failures: calls without an answer; by model or provider, attempts without one.
        input_tokens: as `airframe.types.Usage` has them.
        output_tokens: likewise.
        cache_read_tokens: likewise.
        cost_usd: what is known to have been spent, estimates included.
        cost_low_usd: the least that it can be.
        cost_high_usd: the most.
        cost_estimated_usd: the part of `cost_usd` that rests on tokens that we counted ourselves.
        estimated: how many attempts that are.
        unpriced: attempts whose cost is unknown and not in the sum.
        cache_hits: calls that the response cache answered.
        saved_usd: what is known of what they would have cost.
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
    cache_hits: int = 0
    saved_usd: Decimal = Decimal(0)

    def __add__(self, other: UsageTotals) -> UsageTotals:
        names = [field.name for field in fields(self)]
        return UsageTotals(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageGroup:
    """The sums of one agent, model, or whatever it is summed up by. `key` is None for calls that name none."""

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
    totals: dict[str | None, UsageTotals] = defaultdict(UsageTotals)
    for query in _queries(by, since_ns, until_ns):
        for row in connection.execute(query).mappings():
            totals[_key(row, by)] += _totals(row)
    groups = _days(totals) if by == "day" else _dearest_first(totals)
    return UsageReport(
        by=by,
        since_ns=since_ns,
        until_ns=until_ns,
        groups=groups if by else (),
        totals=sum(totals.values(), UsageTotals()),
    )


_ZERO: ColumnElement[Any] = literal_column("0")
_FAILED_CALLS = func.sum(case((call.c.outcome == "success", 0), else_=1))
_OF_CALLS: Mapping[str, ColumnElement[Any]] = MappingProxyType(
    {
        "calls": func.count(),
        "attempts": func.sum(call.c.attempts),
        "failures": _FAILED_CALLS,
        "cache_hits": func.sum(case((call.c.cache == "hit", 1), else_=0)),
        "saved_usd": func.sum(call.c.saved_nano_usd),
    }
)
_OF_ATTEMPTS: Mapping[str, ColumnElement[Any]] = MappingProxyType(
    {
        "calls": func.sum(case((attempt.c.number == 1, 1), else_=0)),
        "attempts": func.count(),
        "failures": func.count(attempt.c.category),
        "cache_hits": _ZERO,
        "saved_usd": _ZERO,
    }
)
_SUMMED = tuple(f.name for f in fields(UsageTotals) if f.name not in _OF_CALLS)

_CALL_DAY = (call.c.started_at_ns // _A_DAY).label("day")
_ATTEMPT_DAY = (attempt.c.call_started_at_ns // _A_DAY).label("day")

# What is grouped by, in the order of the index: SQLite then reads it from there, and need not sort.
_CALL_KEYS: Mapping[Dimension | None, Sequence[ColumnElement[Any]]] = MappingProxyType(
    {
        None: (),
        "day": (_CALL_DAY,),
        "agent": (_CALL_DAY, call.c.agent),
        "tenant": (_CALL_DAY, call.c.agent, call.c.tenant),
        "variant": (_CALL_DAY, call.c.agent, call.c.tenant, call.c.variant),
    }
)
_ATTEMPT_KEYS: Mapping[Dimension | None, Sequence[ColumnElement[Any]]] = MappingProxyType(
    {
        "provider": (_ATTEMPT_DAY, attempt.c.provider),
        "model": (_ATTEMPT_DAY, attempt.c.provider, attempt.c.model, attempt.c.response_model),
        "deployment": (
            _ATTEMPT_DAY,
            attempt.c.provider,
            attempt.c.model,
            attempt.c.response_model,
            attempt.c.deployment,
        ),
    }
)


def _queries(by: Dimension | None, since_ns: int | None, until_ns: int | None) -> Iterable[Select[Any]]:
    """What to ask; the answers add up."""
    if by not in OF_ATTEMPTS:
        yield _within(_grouped(_CALL_KEYS[by], _OF_CALLS, call), call.c.started_at_ns, since_ns, until_ns)
        return
    began = attempt.c.call_started_at_ns
    yield _within(_grouped(_ATTEMPT_KEYS[by], _OF_ATTEMPTS, attempt), began, since_ns, until_ns)
    keys = [call.c.provider, call.c.model, call.c.deployment]
    unattempted = _grouped(keys, _OF_CALLS, call).where(call.c.attempts == _ZERO)
    yield _within(unattempted, call.c.started_at_ns, since_ns, until_ns)


def _grouped(keys: Sequence[ColumnElement[Any]], counts: Mapping[str, ColumnElement[Any]], table: Table) -> Select[Any]:
    sums = {name: func.sum(table.c[name.replace("_usd", "_nano_usd")]) for name in _SUMMED}
    return select(*keys, *(column.label(name) for name, column in {**counts, **sums}.items())).group_by(*keys)


def _within(query: Select[Any], began: ColumnElement[int], since_ns: int | None, until_ns: int | None) -> Select[Any]:
    """The same query, of a time; the days are said as well, because the index begins with them."""
    if since_ns is not None:
        query = query.where(began >= since_ns, began // _A_DAY >= since_ns // (_SECONDS_A_DAY * 10**9))
    if until_ns is not None:
        query = query.where(began < until_ns, began // _A_DAY <= until_ns // (_SECONDS_A_DAY * 10**9))
    return query


def _key(row: RowMapping, by: Dimension | None) -> str | None:
    key: str | None
    match by:
        case None:
            return None
        case "day":
            return _date(row["day"])
        case "model":
            key = row["model"] or row.get("response_model")  # as asked for, or else as the server said
        case _:
            key = row[by]
    return key


def _totals(row: RowMapping) -> UsageTotals:
    sums: dict[str, Any] = {}
    for field in fields(UsageTotals):
        number = int(row[field.name] or 0)  # no calls, no sum
        sums[field.name] = usd(number) if field.name.endswith("_usd") else number
    return UsageTotals(**sums)


def _dearest_first(totals: Mapping[str | None, UsageTotals]) -> list[UsageGroup]:
    groups = [UsageGroup(key=key, totals=sums) for key, sums in totals.items()]
    return sorted(groups, key=lambda group: (-group.totals.cost_usd, -group.totals.attempts, group.key or ""))


def _days(totals: Mapping[str | None, UsageTotals]) -> list[UsageGroup]:
    """From the first day to the last; one on which nothing happened is a day, too."""
    named = sorted(date.fromisoformat(key) for key in totals if key)
    days = range(named[0].toordinal(), named[-1].toordinal() + 1) if named else ()
    keys = [date.fromordinal(day).isoformat() for day in days]
    return [UsageGroup(key=key, totals=totals.get(key, UsageTotals())) for key in keys]


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * _SECONDS_A_DAY, UTC).date().isoformat()
