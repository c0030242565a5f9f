"""Other figures for what logged attempts cost: their calls' sums follow, so that sums stay true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from sqlalchemy import BigInteger, Connection, Engine, and_, bindparam, case, cast, func, null, or_, select, update

from avionics.calls.columns import COSTS
from avionics.calls.database import writing
from avionics.calls.nano_usd import nano_usd
from avionics.calls.tables import attempt, call

__all__ = ["Repriced", "reprice"]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Repriced:
    """Another figure for the cost of an attempt, and where it comes from."""

    call_id: str
    number: int
    cost_usd: Decimal | None
    cost_low_usd: Decimal | None
    cost_high_usd: Decimal | None
    cost_source: str
    price_version: str | None


def reprice(engine: Engine, figures: Iterable[Repriced]) -> int:
    """Exchange the costs of these attempts; returns how many were exchanged. Raises as `writing`."""
    exchanged, remaining = 0, iter(figures)
    while some := list(islice(remaining, _AT_ONCE)):
        with writing(engine) as connection:
            _exchange(connection, some)
        exchanged += len(some)
    return exchanged


def _exchange(connection: Connection, figures: Sequence[Repriced]) -> None:
    cost = cast(bindparam("cost"), BigInteger)
    used = or_(attempt.c.usage_source != "unknown", attempt.c.category.is_(None))
    statement = (
        update(attempt)
        .where(attempt.c.call_id == bindparam("of_call"), attempt.c.number == bindparam("of_number"))
        .values(
            cost_nano_usd=cost,
            cost_low_nano_usd=bindparam("low"),
            cost_high_nano_usd=bindparam("high"),
            cost_estimated_nano_usd=case((attempt.c.estimated == 1, cost), (cost.is_(None), null()), else_=0),
            cost_source=bindparam("source"),
            price_version=bindparam("version"),
            unpriced=case((and_(cost.is_(None), used), 1), else_=0),
        )
    )
    connection.execute(
        statement,
        [
            {
                "of_call": one.call_id,
                "of_number": one.number,
                "cost": nano_usd(one.cost_usd),
                "low": nano_usd(one.cost_usd if one.cost_low_usd is None else one.cost_low_usd),
                "high": nano_usd(one.cost_usd if one.cost_high_usd is None else one.cost_high_usd),
                "source": one.cost_source,
                "version": one.price_version,
            }
            for one in figures
        ],
    )
    sums = {
        column: select(func.sum(attempt.c[column])).where(attempt.c.call_id == call.c.id).scalar_subquery()
        for column in (*COSTS, "unpriced")
    }
    connection.execute(update(call).where(call.c.id.in_({one.call_id for one in figures})).values(sums))
