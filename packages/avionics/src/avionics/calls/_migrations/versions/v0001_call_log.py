"""The call log: calls, their attempts, what was said, and what was thought of it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

__all__ = ["downgrade", "upgrade"]

revision = "0001"
down_revision = None

_ID, _HASH, _WORD, _NAME = sa.String(36), sa.String(64), sa.String(64), sa.String(256)


def upgrade() -> None:
    """Makes the four tables."""
    op.create_table(
        "call",
        sa.Column("id", _ID, nullable=False),
        sa.Column("started_at_ns", sa.BigInteger, nullable=False),
        sa.Column("duration", sa.Double, nullable=False),
        sa.Column("time_to_first_event", sa.Double),
        sa.Column("agent", _NAME),
        sa.Column("tenant", _NAME),
        sa.Column("conversation_id", _NAME),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("config_hash", _WORD),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("provider", _NAME),
        sa.Column("model", _NAME),
        sa.Column("outcome", _WORD, nullable=False),
        sa.Column("category", _WORD),
        sa.Column("error_code", _WORD),
        sa.Column("error", sa.Text),
        sa.Column("finish_reason", _WORD),
        sa.Column("attempts", sa.Integer, nullable=False),
        *_usage_and_cost(),
        sa.Column("prompt_id", _HASH),
        sa.Column("answer_id", _HASH),
        sa.PrimaryKeyConstraint("id", name="pk_call"),
    )
    op.create_index("ix_call_started_at_ns", "call", ["started_at_ns"])
    op.create_table(
        "attempt",
        sa.Column("call_id", _ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("reason", _WORD, nullable=False),
        sa.Column("provider", _NAME, nullable=False),
        sa.Column("kind", _WORD),
        sa.Column("model", _NAME),
        sa.Column("server_address", _NAME),
        sa.Column("server_port", sa.Integer),
        sa.Column("started_at_ns", sa.BigInteger, nullable=False),
        sa.Column("duration", sa.Double, nullable=False),
        sa.Column("time_to_first_event", sa.Double),
        sa.Column("category", _WORD),
        sa.Column("status", sa.SmallInteger),
        sa.Column("error_code", _WORD),
        sa.Column("error", sa.Text),
        sa.Column("request_id", _NAME),
        sa.Column("response_id", _NAME),
        sa.Column("response_model", _NAME),
        sa.Column("finish_reason", _WORD),
        *_usage_and_cost(),
        sa.Column("service_tier", _WORD),
        sa.Column("cost_source", _WORD, nullable=False),
        sa.Column("price_version", _NAME),
        sa.Column("call_started_at_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("call_id", "number", name="pk_attempt"),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_attempt_call_id_call", ondelete="CASCADE"),
    )
    op.create_index("ix_attempt_call_started_at_ns", "attempt", ["call_started_at_ns"])
    op.create_table(
        "feedback",
        sa.Column("id", _ID, nullable=False),
        sa.Column("call_id", _ID, nullable=False),
        sa.Column("given_at_ns", sa.BigInteger, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("comment", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_feedback_call_id_call", ondelete="CASCADE"),
    )
    op.create_index("ix_feedback_call_id", "feedback", ["call_id"])
    op.create_table(
        "content",
        sa.Column("id", _HASH, nullable=False),
        sa.Column("parent_id", _HASH),
        sa.Column("message", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_content"),
    )


def downgrade() -> None:
    """Drops them."""
    for table in ("content", "feedback", "attempt", "call"):
        op.drop_table(table)


def _usage_and_cost() -> list[sa.Column[Any]]:
    kinds = (
        "input",
        "output",
        "total",
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "reasoning",
        "input_audio",
        "output_audio",
    )
    return [
        *(sa.Column(f"{kind}_tokens", sa.BigInteger) for kind in kinds),
        sa.Column("web_searches", sa.BigInteger),
        sa.Column("usage_source", _WORD, nullable=False),
        *(sa.Column(f"cost_{part}nano_usd", sa.BigInteger) for part in ("", "low_", "high_", "estimated_")),
        *(sa.Column(count, sa.Integer, nullable=False) for count in ("estimated", "unpriced")),
    ]
