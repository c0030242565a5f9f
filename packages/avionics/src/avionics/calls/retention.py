"""Forgetting calls that are older than somebody wants to keep them."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, select, text, union

from avionics.calls.database import writing
from avionics.calls.tables import call, content, feedback

__all__ = ["prune"]

_SOME = 2000  # calls in one transaction, so that writers wait for a moment only


def prune(engine: Engine, before_ns: int) -> int:
    """Forget all calls that began before this time, in Unix nanoseconds; returns how many. Raises SQLAlchemy's errors.

    What was said in them is forgotten unless a later call said it too. A file keeps its size; the space is used again.
    """
    pruned = 0
    while some := _prune_some(engine, before_ns):
        pruned += some
    return pruned


def _prune_some(engine: Engine, before_ns: int) -> int:
    with writing(engine) as connection:
        old = select(call.c.id).where(call.c.started_at_ns < before_ns).order_by(call.c.started_at_ns).limit(_SOME + 1)
        ids = connection.scalars(old).all()
        connection.execute(delete(call).where(call.c.id.in_(ids[:_SOME])))
        connection.execute(delete(feedback).where(feedback.c.call_id.in_(ids[:_SOME])))
        if 0 < len(ids) <= _SOME:
            _prune_content(connection)
            _prune_feedback(connection, before_ns)
    return len(ids[:_SOME])


def _prune_content(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Another process could be about to log a call that refers to what is deleted here.
        connection.execute(text("LOCK TABLE content IN EXCLUSIVE MODE"))
    used = union(select(call.c.prompt_id.label("id")), select(call.c.answer_id)).subquery()
    kept = select(used.c.id).where(used.c.id.is_not(None)).cte("kept", recursive=True)
    before = select(content.c.parent_id).join(kept, content.c.id == kept.c.id).where(content.c.parent_id.is_not(None))
    connection.execute(delete(content).where(content.c.id.not_in(select(kept.union(before).c.id))))


def _prune_feedback(connection: Connection, before_ns: int) -> None:
    """Feedback on calls that never came."""
    unknown = feedback.c.call_id.not_in(select(call.c.id))
    connection.execute(delete(feedback).where(feedback.c.given_at_ns < before_ns, unknown))
