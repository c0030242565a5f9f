"""The records of a call as one JSON object, which scripts may rely on.

    {"text", "reasoning", "tool_calls", "finish_reason", "provider", "model", "agent_name", "call_id", "latency_ms",
     "time_to_first_event_ms", "tokens": {"prompt", "completion", "total"}, "usage_source", "cost_usd", "warnings",
     "attempts": [...], "error": null or {"category", "message"}}

null is unknown. Money is a text, so that no digit is lost. Of a failed call `text` is what had come of it.
"""

from __future__ import annotations

from airframe.types import InferenceResult, JSONObject, Usage
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.llm.spending import usage_source

__all__ = ["call_as_json"]


def call_as_json(call: CallStarted, end: CallFinished) -> JSONObject:
    """The object for one call."""
    answer = end.result or end.partial or InferenceResult()
    return {
        "text": answer.text,
        "reasoning": answer.reasoning or None,
        "tool_calls": [{"id": tool.id, "name": tool.name, "arguments": tool.arguments} for tool in answer.tool_calls],
        "finish_reason": answer.finish_reason,
        "provider": end.provider,
        "model": end.model,
        "agent_name": call.agent_name,
        "call_id": call.call_id,
        "latency_ms": (end.ended_at_ns - call.started_at_ns) / 1_000_000,
        "time_to_first_event_ms": _milliseconds(end.time_to_first_event),
        "tokens": _tokens(end.usage),
        "usage_source": usage_source(end.attempts),
        "cost_usd": _money(end.cost_usd),
        "warnings": [{"subject": warning.subject, "message": warning.message} for warning in answer.warnings],
        "attempts": [_attempt(attempt) for attempt in end.attempts],
        "error": {"category": end.category, "message": end.error} if end.outcome != "success" else None,
    }


def _attempt(attempt: AttemptFinished) -> JSONObject:
    return {
        "number": attempt.number,
        "reason": attempt.reason,
        "deployment": attempt.deployment,
        "provider": attempt.provider,
        "model": attempt.model,
        "server": f"{attempt.server_address}:{attempt.server_port}",
        "duration_ms": _milliseconds(attempt.duration),
        "time_to_first_event_ms": _milliseconds(attempt.time_to_first_event),
        "status": attempt.status,
        "category": attempt.category,
        "error": attempt.error,
        "request_id": attempt.request_id,
        "tokens": _tokens(attempt.usage),
        "usage_source": attempt.usage_source,
        "cost_usd": _money(attempt.cost_usd),
    }


def _tokens(usage: Usage | None) -> JSONObject:
    usage = usage or Usage()
    total = usage.total_tokens
    if total is None and usage.input_tokens is not None and usage.output_tokens is not None:
        total = usage.input_tokens + usage.output_tokens
    return {"prompt": usage.input_tokens, "completion": usage.output_tokens, "total": total}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _money(amount: object) -> str | None:
    return None if amount is None else str(amount)
