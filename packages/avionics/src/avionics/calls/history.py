"""The calls that were logged, for those who ask afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, Select, literal, or_, select

from airframe.types import JSONObject
from avionics.calls.database import reading
from avionics.calls.delivery import Delivery
from avionics.calls.feedback import Feedback
from avionics.calls.feedback_scores import FeedbackScore, feedback_scores
from avionics.calls.location import database_url, spill_directory
from avionics.calls.logged import CallDetails, LoggedAttempt, LoggedCall, logged_attempt, logged_call
from avionics.calls.repricing import Repriced, reprice
from avionics.calls.retention import prune
from avionics.calls.rows import feedback_rows
from avionics.calls.spill import Spill
from avionics.calls.store import CallStore
from avionics.calls.tables import attempt, call, content, feedback
from avionics.calls.usage import Dimension, UsageReport, usage_report
from avionics.calls.variant_samples import variant_samples
from avionics.errors import AvionicsError
from avionics.llm.experiments.report import ExperimentReport, report_of
from avionics.settings import Settings

__all__ = ["CallFilter", "CallHistory", "UnknownCallError"]

_AT_ONCE = 1000  # rows


class UnknownCallError(AvionicsError, LookupError):
    """No call, or more than one, goes by this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls are meant; None means any. Times are Unix nanoseconds, `until_ns` itself is not meant."""

    agent: str | None = None
    tenant: str | None = None
    conversation_id: str | None = None
    session_id: str | None = None
    variant: str | None = None
    outcome: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def of(self, query: Select[Any]) -> Select[Any]:
        """The same query, for these calls only."""
        for name in ("agent", "tenant", "conversation_id", "session_id", "variant", "outcome"):
            if (value := getattr(self, name)) is not None:
                query = query.where(call.c[name] == value)
        if self.since_ns is not None:
            query = query.where(call.c.started_at_ns >= self.since_ns)
        if self.until_ns is not None:
            query = query.where(call.c.started_at_ns < self.until_ns)
        return query


class CallHistory:
    """The logged calls. A context manager; its methods raise `DatabaseUnavailableError`.

    Opening it also brings home calls that wait in spill files, if nobody else does. Raises `ConfigurationError` for a
    database that cannot be opened as it is configured.
    """

    def __init__(self, settings: Settings) -> None:
        self._store = CallStore(database_url(settings.database))
        self._engine: Engine = self._store.open()
        self._pick_up(Spill(spill_directory(settings)))

    def usage(
        self, by: Dimension | None = None, *, since_ns: int | None = None, until_ns: int | None = None
    ) -> UsageReport:
        """Sums over calls; see `usage_report`."""
        with reading(self._engine) as connection:
            return usage_report(connection, by=by, since_ns=since_ns, until_ns=until_ns)

    def calls(self, which: CallFilter | None = None, *, last: int | None = None) -> Iterator[LoggedCall]:
        """These calls, or the `last` of them, the oldest first."""
        query = (which or CallFilter()).of(select(call))
        if last is not None:
            newest = query.order_by(call.c.started_at_ns.desc(), call.c.id.desc()).limit(last).subquery()
            query = select(newest).order_by(newest.c.started_at_ns, newest.c.id)
        else:
            query = query.order_by(call.c.started_at_ns, call.c.id)
        with reading(self._engine) as connection:
            for row in connection.execution_options(yield_per=_AT_ONCE).execute(query).mappings():
                yield logged_call(row)

    def attempts(self, which: CallFilter | None = None) -> Iterator[LoggedAttempt]:
        """The attempts of these calls, in order."""
        query = (
            (which or CallFilter())
            .of(select(attempt).join(call))
            .order_by(attempt.c.call_started_at_ns, attempt.c.call_id)
        )
        with reading(self._engine) as connection:
            result = connection.execution_options(yield_per=_AT_ONCE).execute(query.order_by(attempt.c.number))
            for row in result.mappings():
                yield logged_attempt(row)

    def call(self, call_id: str) -> CallDetails:
        """All about the call with this id, or the only one whose id begins or ends so. Raises `UnknownCallError`."""
        with reading(self._engine) as connection:
            found = _found(connection, call_id)
            of_it = select(attempt).where(attempt.c.call_id == found.id).order_by(attempt.c.number)
            given = select(feedback).where(feedback.c.call_id == found.id).order_by(feedback.c.given_at_ns)
            return CallDetails(
                call=found,
                attempts=[logged_attempt(row) for row in connection.execute(of_it).mappings()],
                feedback=[Feedback(**row) for row in connection.execute(given).mappings()],
                messages=_messages(connection, found.answer_id or found.prompt_id),
            )

    def record_feedback(self, call_id: str, metric: str, value: float | None, *, comment: str | None = None) -> None:
        """Note what somebody thought of an answer. Raises `UnknownCallError`, and `ValueError` as `Feedback.of`.

        It is in the database on return. `CallLog.record_feedback` does not wait for that.
        """
        with reading(self._engine) as connection:
            found = _found(connection, call_id)
        self._store.write([feedback_rows(Feedback.of(found.id, metric, value, comment=comment))])

    def feedback_scores(
        self, metric: str | None = None, *, since_ns: int | None = None, until_ns: int | None = None
    ) -> Sequence[FeedbackScore]:
        """How well calls did, by variant and metric; see `feedback_scores`."""
        with reading(self._engine) as connection:
            return feedback_scores(connection, metric, since_ns=since_ns, until_ns=until_ns)

    def experiment_report(
        self,
        experiment: str,
        *,
        control: str | None = None,
        metric: str | None = None,
        weights: Mapping[str, float] | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> ExperimentReport:
        """How the variants of an experiment did, in calls of a time; see `report_of`."""
        with reading(self._engine) as connection:
            samples = variant_samples(connection, experiment, since_ns=since_ns, until_ns=until_ns)
        return report_of(experiment, samples, control=control, metric=metric, weights=weights)

    def reprice(self, figures: Iterable[Repriced]) -> int:
        """Exchange the costs of attempts; the sums of their calls follow. Returns how many were exchanged."""
        return reprice(self._engine, figures)

    def prune(self, before_ns: int) -> int:
        """Forget the calls that began before this time; returns how many. See `avionics.calls.retention.prune`."""
        return prune(self._engine, before_ns)

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _pick_up(self, spill: Spill) -> None:
        Delivery(self._store, spill).read_back()


def _found(connection: Connection, call_id: str) -> LoggedCall:
    by_part = or_(call.c.id.startswith(call_id, autoescape=True), call.c.id.endswith(call_id, autoescape=True))
    whole = connection.execute(select(call).where(call.c.id == call_id)).mappings().all()
    rows = whole or connection.execute(select(call).where(by_part).limit(2)).mappings().all()
    if len(rows) != 1:
        raise UnknownCallError(f"{'several calls go' if rows else 'no call goes'} by the id {call_id!r}")
    return logged_call(rows[0])


def _messages(connection: Connection, last: str | None) -> Sequence[JSONObject]:
    chain = select(content, literal(0).label("back")).where(content.c.id == last).cte("chain", recursive=True)
    before = select(content, chain.c.back + 1).join(chain, content.c.id == chain.c.parent_id)
    chain = chain.union_all(before)
    return [json.loads(text) for text in connection.scalars(select(chain.c.message).order_by(chain.c.back.desc()))]
