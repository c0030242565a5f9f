"""Which calls may be answered from the cache, and which answers are kept, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from airframe.types import (
    FinishReason,
    HostedTool,
    HostedToolPart,
    InferenceRequest,
    InferenceResult,
    Message,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolSpec,
)
from avionics.llm.cache.eligibility import answer_obstacle, request_obstacle

# fields, by itself, opted in
REQUESTS: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"temperature": 0}, None, None),
    ({"temperature": 0.0}, None, None),
    ({"temperature": 1, "seed": 7}, None, None),
    ({"seed": 0}, None, None),
    ({}, "temperature", None),
    ({"temperature": 0.2}, "temperature", None),
    ({"temperature": 0, "model": None}, "model", None),
    ({"temperature": 0, "tools": [ToolSpec(name="f")]}, None, None),
    ({"temperature": 0, "tools": [HostedTool("web_search")]}, "web_search", "web_search"),
    ({"temperature": 0, "previous_response_id": "resp_1"}, "previous_response_id", "previous_response_id"),
    ({"temperature": 0, "store": True}, "store", "store"),
    ({"temperature": 0, "store": False}, None, None),
    ({"temperature": 0, "extra_params": {"conversation": "c"}}, "conversation", "conversation"),
    ({"temperature": 0, "extra_params": {"background": True}}, "background", "background"),
    ({"temperature": 0, "extra_params": {"background": False, "logit_bias": {}}}, None, None),
]

TEXT, CALL = TextPart("Because."), ToolCall(id="1", name="f")
ANSWERS: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"content": (TEXT,)}, None, None),
    ({"content": (CALL,), "finish_reason": FinishReason.TOOL_CALLS}, None, None),
    ({"content": ()}, "empty", "empty"),
    ({"content": (TextPart(" \n"),)}, "empty", "empty"),
    ({"content": (RefusalPart("No."),)}, "refusal", None),
    ({"content": (TEXT,), "finish_reason": FinishReason.REFUSAL}, "refusal", None),
    ({"content": (TEXT,), "finish_reason": FinishReason.LENGTH}, "length", None),
    ({"content": (TEXT,), "finish_reason": FinishReason.CONTENT_FILTER}, "content_filter", None),
    ({"content": (TEXT,), "finish_reason": FinishReason.PAUSE}, "pause", "pause"),
    ({"content": (TEXT,), "finish_reason": FinishReason.ERROR}, "error", "error"),
    ({"content": (TEXT,), "finish_reason": FinishReason.CANCELLED}, "cancelled", "cancelled"),
    ({"content": (TEXT,), "finish_reason": FinishReason.UNKNOWN}, "unknown", "unknown"),
    ({"content": (TEXT,), "finish_reason": None}, "nothing", "nothing"),
    ({"content": (HostedToolPart(kind="search", issuer="openai"), TEXT)}, "tool of the backend", "tool of the backend"),
]


@pytest.mark.parametrize(("given", "by_itself", "opted_in"), REQUESTS, ids=str)
def test_requests(given: dict[str, Any], by_itself: str | None, opted_in: str | None) -> None:
    """The same answer was asked for each time, and the backend neither remembers nor acts."""
    usual: dict[str, Any] = {"messages": [Message("user", "Why?")], "model": "m"}
    request = InferenceRequest(**usual | given)
    check(request_obstacle(request, model=request.model, opted_in=False), by_itself)
    check(request_obstacle(request, model=request.model, opted_in=True), opted_in)


@pytest.mark.parametrize(("given", "by_itself", "opted_in"), ANSWERS, ids=str)
def test_answers(given: dict[str, Any], by_itself: str | None, opted_in: str | None) -> None:
    """Whole ones are kept; those that were cut, blocked or refused for who opted in; broken ones never."""
    usual: dict[str, Any] = {"finish_reason": FinishReason.STOP}
    result = InferenceResult(**usual | given)
    check(answer_obstacle(result, opted_in=False), by_itself)
    check(answer_obstacle(result, opted_in=True), opted_in)


@pytest.mark.parametrize("reason", FinishReason)
def test_every_reason_to_stop_is_decided(reason: FinishReason) -> None:
    """Of those that there are, and of those that are added: what is not known to be whole is not kept."""
    decided = {given.get("finish_reason", FinishReason.STOP) for given, _, _ in ANSWERS}
    assert reason in decided


def check(reason: str | None, expected: str | None) -> None:
    if expected is None:
        assert reason is None
    else:
        assert reason is not None
        assert expected in reason
