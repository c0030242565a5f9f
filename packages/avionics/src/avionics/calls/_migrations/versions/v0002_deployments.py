"""Deployments, variants, sessions and the response cache; sums over all calls without sorting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

__all__ = ["downgrade", "upgrade"]

revision = "0002"
down_revision = "0001"

_WORD, _NAME = sa.String(64), sa.String(256)

_NEW_COLUMNS: Mapping[str, Mapping[str, TypeEngine[Any]]] = {
    "call": {
        "variant": _NAME,
        "session_id": _NAME,
        "deployment": _NAME,
        "cache": _WORD,
        "saved_nano_usd": sa.BigInteger(),
    },
    "attempt": {"deployment": _NAME},
}

# SQLite groups by sorting: with these it reads the rows in order, and nothing but what is summed up. PostgreSQL groups
# by hashing and would only have to keep them. They begin with the day, so that new rows come to their ends.
_SUMMED = (
    "input_tokens, output_tokens, cache_read_tokens, cost_nano_usd, cost_low_nano_usd, cost_high_nano_usd, "
    "cost_estimated_nano_usd, estimated, unpriced"
)
_SQLITE_INDEXES = {
    "ix_call_usage": "call (started_at_ns / 86400000000000, agent, tenant, variant, started_at_ns, attempts, outcome, "
    f"cache, saved_nano_usd, {_SUMMED})",
    "ix_attempt_usage": "attempt (call_started_at_ns / 86400000000000, provider, model, response_model, deployment, "
    f"call_started_at_ns, number, category, {_SUMMED})",
}


def upgrade() -> None:
    """Adds columns; feedback no longer waits for its call to be there."""
    for table, columns in _NEW_COLUMNS.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind))
    with op.batch_alter_table("feedback") as feedback:
        feedback.drop_constraint("fk_feedback_call_id_call", type_="foreignkey")
        feedback.alter_column("name", new_column_name="metric")
        feedback.alter_column("score", new_column_name="value")
    of_none = sa.text("attempts = 0")
    op.create_index(
        "ix_call_without_attempts", "call", ["started_at_ns"], sqlite_where=of_none, postgresql_where=of_none
    )
    if op.get_context().dialect.name == "sqlite":
        for name, of in _SQLITE_INDEXES.items():
            op.execute(f"CREATE INDEX {name} ON {of}")


def downgrade() -> None:
    """Takes them away."""
    if op.get_context().dialect.name == "sqlite":
        for name in _SQLITE_INDEXES:
            op.execute(f"DROP INDEX {name}")
    op.drop_index("ix_call_without_attempts", "call")
    op.execute("DELETE FROM feedback WHERE call_id NOT IN (SELECT id FROM call)")
    with op.batch_alter_table("feedback") as feedback:
        feedback.alter_column("metric", new_column_name="name")
        feedback.alter_column("value", new_column_name="score")
        feedback.create_foreign_key("fk_feedback_call_id_call", "call", ["call_id"], ["id"], ondelete="CASCADE")
    for table, columns in _NEW_COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)
