"""The calls of an experiment, read from the log for comparing its variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select

from avionics.calls.tables import call, feedback
from avionics.llm.experiments.sample import UnitMeans, VariantSample

__all__ = ["variant_samples"]

_AT_ONCE = 1000  # rows
_NANO = 1_000_000_000

_UNIT: ColumnElement[str] = func.coalesce(
    func.nullif(call.c.session_id, ""), func.nullif(call.c.conversation_id, ""), call.c.id
).label("unit")
"""By which a call got its variant."""

_WHOSE: Sequence[ColumnElement[Any]] = (call.c.variant, _UNIT)


def variant_samples(
    connection: Connection, experiment: str, *, since_ns: int | None = None, until_ns: int | None = None
) -> Mapping[str, VariantSample]:
    """By variant, the calls that began at `since_ns` or later and before `until_ns`, in Unix nanoseconds."""
    samples: dict[str, VariantSample] = {}
    columns = (call.c.outcome, call.c.cache, call.c.duration, call.c.cost_nano_usd, call.c.unpriced)
    calls = _of(experiment, select(*_WHOSE, *columns), since_ns, until_ns)
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(calls).mappings():
        if name := _variant(row, experiment):
            _count(samples.setdefault(name, VariantSample(variant=name)), row)
    values = select(*_WHOSE, feedback.c.metric, feedback.c.value).join(feedback, feedback.c.call_id == call.c.id)
    given = _of(experiment, values.where(feedback.c.value.is_not(None)), since_ns, until_ns)
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(given).mappings():
        if name := _variant(row, experiment):
            given_to = samples.setdefault(name, VariantSample(variant=name)).feedback  # a call may have come meanwhile
            given_to.setdefault(row["metric"], UnitMeans()).add(row["unit"], row["value"])
    return samples


def _of(experiment: str, query: Select[Any], since_ns: int | None, until_ns: int | None) -> Select[Any]:
    query = query.where(call.c.variant.startswith(f"{experiment}/", autoescape=True))
    if since_ns is not None:
        query = query.where(call.c.started_at_ns >= since_ns)
    if until_ns is not None:
        query = query.where(call.c.started_at_ns < until_ns)
    return query


def _variant(row: RowMapping, experiment: str) -> str | None:
    """Its name; None for that of an experiment whose name differs in case, which SQLite takes for the same."""
    name, _, variant = str(row["variant"]).partition("/")
    return variant if name == experiment else None


def _count(sample: VariantSample, row: RowMapping) -> None:
    unit: str = row["unit"]
    sample.calls += 1
    sample.units.add(unit)
    if row["outcome"] not in {"success", "error"}:
        sample.left += 1
        return
    failed = row["outcome"] == "error"
    sample.failures.add(unit, float(failed))
    if row["cache"] == "hit":
        sample.cached += 1
        return
    if not failed:
        sample.durations.append(row["duration"])
    if row["unpriced"] or row["cost_nano_usd"] is None:
        sample.unpriced += 1
    else:
        sample.costs.add(unit, row["cost_nano_usd"] / _NANO)
