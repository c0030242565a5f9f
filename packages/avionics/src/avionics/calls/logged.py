"""Calls as they are read from the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping

from airframe.types import JSONObject, Usage
from avionics.calls.columns import USAGE_COUNTS
from avionics.calls.feedback import Feedback
from avionics.calls.nano_usd import usd

__all__ = ["CallDetails", "LoggedAttempt", "LoggedCall", "logged_attempt", "logged_call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCall:
    """A call. Its fields mean what they mean in `avionics.llm.records`; None is unknown.

    `cost_usd` is the sum of what is known: `unpriced` of the call's `attempts` cost something that is not in it. The
    tokens of `estimated` of them are our own count; `cost_estimated_usd` is their part of the cost, and the whole lies
    between `cost_low_usd` and `cost_high_usd`.
    """

    id: str
    started_at_ns: int
    duration: float
    time_to_first_event: float | None
    agent: str | None
    tenant: str | None
    conversation_id: str | None
    route: str
    config_hash: str | None
    variant: str | None
    session_id: str | None
    streamed: bool
    provider: str | None
    model: str | None
    deployment: str | None
    cache: str | None
    saved_usd: Decimal | None
    outcome: str
    category: str | None
    error_code: str | None
    error: str | None
    finish_reason: str | None
    attempts: int
    usage: Usage
    usage_source: str
    cost_usd: Decimal | None
    cost_low_usd: Decimal | None
    cost_high_usd: Decimal | None
    cost_estimated_usd: Decimal | None
    estimated: int
    unpriced: int
    prompt_id: str | None
    answer_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAttempt:
    """One exchange of a call. `estimated` and `unpriced` are 0 or 1."""

    call_id: str
    number: int
    reason: str
    provider: str
    kind: str | None
    model: str | None
    deployment: str | None
    server_address: str | None
    server_port: int | None
    started_at_ns: int
    duration: float
    time_to_first_event: float | None
    category: str | None
    status: int | None
    error_code: str | None
    error: str | None
    request_id: str | None
    response_id: str | None
    response_model: str | None
    finish_reason: str | None
    service_tier: str | None
    usage: Usage
    usage_source: str
    cost_usd: Decimal | None
    cost_low_usd: Decimal | None
    cost_high_usd: Decimal | None
    cost_estimated_usd: Decimal | None
    cost_source: str
    price_version: str | None
    call_started_at_ns: int
    estimated: int
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDetails:
    """All that is known of one call. `messages` is what was said, and empty when capture was off."""

    call: LoggedCall
    attempts: Sequence[LoggedAttempt]
    feedback: Sequence[Feedback]
    messages: Sequence[JSONObject]


def logged_call(row: RowMapping) -> LoggedCall:
    """A row of the table `call`."""
    return LoggedCall(**_decoded(row))


def logged_attempt(row: RowMapping) -> LoggedAttempt:
    """A row of the table `attempt`."""
    return LoggedAttempt(**_decoded(row))


def _decoded(row: RowMapping) -> dict[str, Any]:
    values: dict[str, Any] = {str(name): value for name, value in row.items()}
    usage = Usage(**{count: values.pop(count) for count in USAGE_COUNTS})
    money = [column for column in values if column.endswith("_nano_usd")]
    costs = {column.replace("_nano_usd", "_usd"): usd(values.pop(column)) for column in money}
    return {**values, **costs, "usage": usage}
