"""How well calls did by what was thought of them: for each variant of an experiment, and each metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from avionics.calls.tables import call, feedback

__all__ = ["FeedbackScore", "feedback_scores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackScore:
    """The values of one metric that calls of one variant were given. `variant` None are calls outside of experiments.

    Attributes:
        calls: how many calls have such a value.
        count: how many values they have.
        mean: of the values.
        stddev: of a sample, so with `count - 1` below; None for a single value.
    """

    variant: str | None
    metric: str
    calls: int
    count: int
    mean: float
    stddev: float | None


def feedback_scores(
    connection: Connection, metric: str | None = None, *, since_ns: int | None = None, until_ns: int | None = None
) -> Sequence[FeedbackScore]:
    """The scores in the order of variant and metric, of one metric or of all.

    Calls that began at `since_ns` or later and before `until_ns` count, in Unix nanoseconds. Feedback without a value,
    and on calls that are not in the log, does not.
    """
    group = (call.c.variant, feedback.c.metric)
    given = select(
        *group, feedback.c.call_id, feedback.c.value, func.avg(feedback.c.value).over(partition_by=group).label("mean")
    ).join(call, call.c.id == feedback.c.call_id)
    given = given.where(feedback.c.value.is_not(None))
    if metric is not None:
        given = given.where(feedback.c.metric == metric)
    if since_ns is not None:
        given = given.where(call.c.started_at_ns >= since_ns)
    if until_ns is not None:
        given = given.where(call.c.started_at_ns < until_ns)
    values = given.subquery()
    distance = values.c.value - values.c.mean
    scores = select(
        values.c.variant,
        values.c.metric,
        func.count(values.c.call_id.distinct()).label("calls"),
        func.count().label("count"),
        func.max(values.c.mean).label("mean"),
        func.sum(distance * distance).label("squares"),
    ).group_by(values.c.variant, values.c.metric)
    found = [
        FeedbackScore(
            variant=row["variant"],
            metric=row["metric"],
            calls=row["calls"],
            count=row["count"],
            mean=row["mean"],
            stddev=math.sqrt(row["squares"] / (row["count"] - 1)) if row["count"] > 1 else None,
        )
        for row in connection.execute(scores).mappings()
    ]
    return sorted(found, key=lambda score: (score.variant or "", score.metric))
