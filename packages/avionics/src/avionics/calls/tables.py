"""The tables of the call log.

    call ──< attempt        one row per call, one per exchange with a backend
      ├────< feedback       what somebody thought of the answer; it may come before its call does
      └───── content        what was said, as a chain of messages; only when capture is on

Times are Unix nanoseconds, durations seconds, money integer nano-USD (SQLite keeps decimals as floats). NULL is
unknown; but in `content`, where `parent_id` names the message before, it is the beginning. Indexes that SQLite alone
has are in the migrations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from avionics.calls.columns import COSTS, COUNTED, USAGE_COUNTS

__all__ = ["attempt", "call", "content", "feedback", "metadata"]

_NO_ATTEMPTS = text("attempts = 0")
_ID, _HASH, _WORD, _NAME = String(36), String(64), String(64), String(256)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _usage_and_cost() -> Sequence[Column[Any]]:
    return (
        *(Column(count, BigInteger) for count in USAGE_COUNTS),
        Column("usage_source", _WORD, nullable=False),
        *(Column(cost, BigInteger) for cost in COSTS),
        *(Column(count, Integer, nullable=False) for count in COUNTED),
    )


call = Table(
    "call",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("started_at_ns", BigInteger, nullable=False),
    Column("duration", Double, nullable=False),
    Column("time_to_first_event", Double),
    Column("agent", _NAME),
    Column("tenant", _NAME),
    Column("conversation_id", _NAME),
    Column("route", Text, nullable=False),
    Column("config_hash", _WORD),
    Column("variant", _NAME),
    Column("session_id", _NAME),
    Column("streamed", Boolean, nullable=False),
    Column("provider", _NAME),
    Column("model", _NAME),
    Column("deployment", _NAME),
    Column("cache", _WORD),
    Column("saved_nano_usd", BigInteger),
    Column("outcome", _WORD, nullable=False),
    Column("category", _WORD),
    Column("error_code", _WORD),
    Column("error", Text),
    Column("finish_reason", _WORD),
    Column("attempts", Integer, nullable=False),
    *_usage_and_cost(),
    Column("prompt_id", _HASH),
    Column("answer_id", _HASH),
    Index(None, "started_at_ns"),
    Index("ix_call_without_attempts", "started_at_ns", sqlite_where=_NO_ATTEMPTS, postgresql_where=_NO_ATTEMPTS),
)

attempt = Table(
    "attempt",
    metadata,
    Column("call_id", _ID, ForeignKey(call.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("reason", _WORD, nullable=False),
    Column("provider", _NAME, nullable=False),
    Column("kind", _WORD),
    Column("model", _NAME),
    Column("deployment", _NAME),
    Column("server_address", _NAME),
    Column("server_port", Integer),
    Column("started_at_ns", BigInteger, nullable=False),
    Column("duration", Double, nullable=False),
    Column("time_to_first_event", Double),
    Column("category", _WORD),
    Column("status", SmallInteger),
    Column("error_code", _WORD),
    Column("error", Text),
    Column("request_id", _NAME),
    Column("response_id", _NAME),
    Column("response_model", _NAME),
    Column("finish_reason", _WORD),
    *_usage_and_cost(),
    Column("service_tier", _WORD),
    Column("cost_source", _WORD, nullable=False),
    Column("price_version", _NAME),
    Column(
        "call_started_at_ns", BigInteger, nullable=False
    ),  # both tables are summed over the same time without a join
    Index(None, "call_started_at_ns"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("call_id", _ID, nullable=False, index=True),
    Column("given_at_ns", BigInteger, nullable=False),
    Column("metric", _NAME, nullable=False),
    Column("value", Double),
    Column("comment", Text),
)

content = Table(
    "content",
    metadata,
    Column("id", _HASH, primary_key=True),
    Column("parent_id", _HASH),
    Column("message", Text, nullable=False),
)
