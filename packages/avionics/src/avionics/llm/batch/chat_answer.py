"""Answers and errors as OpenAI's chat completions give them. Source: `types/chat` of openai 3.51.0 (read 2026-11-20).

An answer has one member more, `avionics`: who gave it, what it cost, and the id under which the call log has the call.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from airframe.types import AudioPart, FinishReason, InferenceResult, JSONObject, JSONValue, Usage
from avionics.errors import LLMError
from avionics.llm.completion_result import tokens_used
from avionics.llm.responses import LLMResponse

__all__ = ["chat_answer", "chat_error"]

_FINISH_REASONS: Mapping[FinishReason, str] = MappingProxyType({FinishReason.REFUSAL: "stop"})
"""Those that OpenAI has another word for; the words that it does not have stay ours."""


def chat_answer(response: LLMResponse) -> JSONObject:
    """The body of an answer."""
    result = cast("InferenceResult", response.metadata["result"])
    reason = result.finish_reason
    choice: JSONObject = {
        "index": 0,
        "message": _message(result),
        "logprobs": None if result.logprobs is None else {"content": result.logprobs},
        "finish_reason": _FINISH_REASONS.get(reason, reason.value) if reason else None,
    }
    call_id = cast("str", response.metadata["call_id"])
    return {
        "id": result.response_id or f"chatcmpl-{call_id}",
        "object": "chat.completion",
        "created": int(response.timestamp),
        "model": response.model,
        "choices": [choice],
        "usage": _usage(result.usage),
        **({"service_tier": result.service_tier} if result.service_tier else {}),
        "avionics": {
            "call_id": call_id,
            "provider": response.provider,
            "cost_usd": None if response.cost_usd is None else str(response.cost_usd),
            "latency_ms": round(response.latency_ms, 3),
            "warnings": [{"subject": each.subject, "message": each.message} for each in result.warnings],
        },
    }


def chat_error(error: Exception) -> JSONObject:
    """The body of an error."""
    known = error if isinstance(error, LLMError) else LLMError()
    return {"error": {"message": str(error), "type": known.category.value, "param": None, "code": known.code}}


def _message(result: InferenceResult) -> JSONObject:
    calls: list[JSONValue] = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in result.tool_calls
    ]
    spoken: list[JSONValue] = [
        {"id": part.id, "data": b64encode(part.data).decode(), "transcript": part.transcript}
        for part in result.content
        if isinstance(part, AudioPart)
    ]
    others: dict[str, JSONValue] = {
        "reasoning_content": result.reasoning,
        "tool_calls": calls,
        "annotations": [annotation.raw for annotation in result.annotations],
        "audio": spoken[0] if spoken else None,
    }
    silent = not result.text and (calls or result.refusal)
    return {
        "role": "assistant",
        "content": None if silent else result.text,
        "refusal": result.refusal,
        **{name: value for name, value in others.items() if value},
    }


def _usage(usage: Usage) -> JSONObject | None:
    if usage.input_tokens is None and usage.output_tokens is None:
        return None
    details: dict[str, dict[str, JSONValue]] = {
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "audio_tokens": usage.input_audio_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": tokens_used(usage),
        **{name: _known(counts) for name, counts in details.items() if _known(counts)},
    }


def _known(counts: Mapping[str, JSONValue]) -> JSONObject:
    return {name: count for name, count in counts.items() if count is not None}
