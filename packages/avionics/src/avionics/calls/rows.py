"""A call, or feedback on one, as rows of the tables: what is kept, and what never is.

With capture off no row holds a word that was said by or to a model, nor a backend's own account of an error: backends
quote requests in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from airframe.types import InferenceResult
from avionics.calls.captured_messages import CapturedMessages
from avionics.calls.columns import COUNTED, SUMS, USAGE_COUNTS, Row
from avionics.calls.feedback import Feedback
from avionics.calls.nano_usd import nano_usd
from avionics.llm.content_filter import ContentFilter
from avionics.llm.machine_code import machine_code
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.llm.spending import usage_source

__all__ = ["LogRows", "call_rows", "feedback_rows"]

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRows:
    """What is written together or not at all: a call with its attempts and what was said in it, or feedback."""

    call: Row | None = None
    attempts: Sequence[Row] = ()
    contents: Sequence[Row] = ()
    feedback: Sequence[Row] = ()

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str | bytes) -> LogRows:
        """What `to_json` made into `line`. Raises `ValueError` for what is none."""
        rows: dict[str, Any] = json.loads(line)  # what is wrong inside the rows, the database refuses
        try:
            return cls(**rows)
        except TypeError:
            raise ValueError("no rows of the log") from None


def call_rows(start: CallStarted, end: CallFinished, capture: ContentFilter | None = None) -> LogRows:
    """The rows of a call. What was said goes through `capture`; None captures nothing."""
    attempts = [_attempt(start, one, capture) for one in end.attempts]
    said = CapturedMessages(capture) if capture else None
    prompt_id = said.add(*start.request.messages) if said else None
    answer = end.result or end.partial or InferenceResult()
    row: Row = {
        "id": start.call_id,
        "started_at_ns": start.started_at_ns,
        "duration": max(0, end.ended_at_ns - start.started_at_ns) / _NANOSECONDS,
        "time_to_first_event": end.time_to_first_event,
        "agent": start.agent_name,
        "tenant": start.tenant,
        "conversation_id": start.conversation_id,
        "route": ",".join(start.route),
        "config_hash": start.config_hash,
        "variant": start.variant,
        "session_id": start.session_id,
        "streamed": start.streamed,
        "provider": end.provider,
        "model": end.model,
        "deployment": end.deployment,
        "cache": end.cache,
        "saved_nano_usd": nano_usd(end.saved_usd),
        "outcome": end.outcome,
        "category": end.category,
        "error_code": machine_code(end.error_code),
        "error": _captured(end.error, capture),
        "finish_reason": answer.finish_reason,
        "attempts": len(attempts),
        "usage_source": usage_source(end.attempts),
        **{column: _sum(attempts, column) for column in SUMS},
        "prompt_id": prompt_id,
        "answer_id": said.add(answer.message) if said and answer.content else None,
    }
    return LogRows(call=row, attempts=attempts, contents=said.rows if said else ())


def feedback_rows(given: Feedback) -> LogRows:
    """The row of what somebody thought of an answer."""
    return LogRows(feedback=[asdict(given)])


def _attempt(start: CallStarted, one: AttemptFinished, capture: ContentFilter | None) -> Row:
    cost = nano_usd(one.cost_usd)
    estimated = one.usage_source == "estimated"
    return {
        "call_id": start.call_id,
        "number": one.number,
        "reason": one.reason,
        "provider": one.provider,
        "kind": one.kind,
        "model": one.model,
        "deployment": one.deployment,
        "server_address": one.server_address,
        "server_port": one.server_port,
        "started_at_ns": one.started_at_ns,
        "duration": one.duration,
        "time_to_first_event": one.time_to_first_event,
        "category": one.category,
        "status": one.status,
        "error_code": machine_code(one.error_code),
        "error": _captured(one.error, capture),
        "request_id": one.request_id,
        "response_id": one.response_id,
        "response_model": one.response_model,
        "finish_reason": one.finish_reason,
        "service_tier": one.service_tier,
        **{count: getattr(one.usage, count, None) for count in USAGE_COUNTS},
        "usage_source": one.usage_source,
        "cost_nano_usd": cost,
        "cost_low_nano_usd": cost if one.cost_low_usd is None else nano_usd(one.cost_low_usd),
        "cost_high_nano_usd": cost if one.cost_high_usd is None else nano_usd(one.cost_high_usd),
        "cost_estimated_nano_usd": cost if estimated or cost is None else 0,
        "cost_source": one.cost_source,
        "price_version": one.price_version,
        "call_started_at_ns": start.started_at_ns,
        "estimated": int(estimated),
        # An attempt that got no answer is taken to have cost nothing.
        "unpriced": int(cost is None and (one.usage is not None or one.category is None)),
    }


def _captured(text: str | None, capture: ContentFilter | None) -> str | None:
    return capture.text(text) if capture and text is not None else None


def _sum(attempts: Sequence[Row], column: str) -> int | None:
    """The sum of what is known; None when nothing is. Without an attempt nothing was used, and that is known."""
    known = [number for row in attempts if isinstance(number := row[column], int)]
    return sum(known) if known or not attempts or column in COUNTED else None
