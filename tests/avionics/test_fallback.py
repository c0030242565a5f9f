"""One table decides who falls back, and an empty answer is a failure only while somebody else can be asked."""

from __future__ import annotations

import pytest

from airframe.errors import ErrorCategory
from airframe.types import FinishReason, InferenceResult, Part, ReasoningPart, RefusalPart, TextPart, ToolCall, Usage
from avionics.llm.fallback import FALLS_BACK, empty_answer_error, falls_back, is_empty

ANOTHER_MAY_DO = {
    "auth", "permission", "billing", "rate_limit", "overloaded", "loading", "not_found", "unsupported", "timeout",
    "server", "connection", "protocol", "unknown",
}  # fmt: skip


@pytest.mark.parametrize("category", ErrorCategory)
def test_a_failure_falls_back_where_another_provider_may_do(category: ErrorCategory) -> None:
    """A wrong request, a blocked prompt, a conflict, a broken certificate and a cancellation do not fall back."""
    assert falls_back(category) is (category.value in ANOTHER_MAY_DO)
    assert category in FALLS_BACK


def test_a_prompt_that_is_too_long_falls_back_to_a_larger_window_only() -> None:
    """The same window would be as full."""
    assert not falls_back(ErrorCategory.CONTEXT_LENGTH)
    assert falls_back(ErrorCategory.CONTEXT_LENGTH, larger_window=True)
    assert not falls_back(ErrorCategory.INVALID_REQUEST, larger_window=True)


@pytest.mark.parametrize(
    ("part", "empty"),
    [
        (TextPart("x"), False),
        (RefusalPart("no"), False),
        (ToolCall(id="1", name="look"), False),
        (TextPart(""), True),
        (ReasoningPart(text="Hm."), True),
    ],
)
def test_only_what_is_said_to_the_caller_is_an_answer(part: Part, empty: bool) -> None:
    """Text, a refusal and a tool call are answers; a thought alone is none."""
    assert is_empty(InferenceResult(content=[part], finish_reason=FinishReason.STOP)) is empty


@pytest.mark.parametrize(
    ("finish_reason", "empty"),
    [
        (FinishReason.STOP, True),
        (FinishReason.UNKNOWN, True),
        (FinishReason.ERROR, True),
        (FinishReason.TOOL_CALLS, True),
        (FinishReason.LENGTH, False),
        (FinishReason.CONTENT_FILTER, False),
        (FinishReason.REFUSAL, False),
    ],
)
def test_silence_with_a_reason_is_an_answer(finish_reason: FinishReason, empty: bool) -> None:
    """No words are a failure, unless the model says why there are none."""
    assert is_empty(InferenceResult(finish_reason=finish_reason)) is empty


def test_the_failure_of_an_empty_answer_keeps_what_it_used() -> None:
    """Tokens spent on nothing are still spent."""
    error = empty_answer_error(InferenceResult(finish_reason=FinishReason.STOP, usage=Usage(input_tokens=9)))
    assert error.category is ErrorCategory.PROTOCOL
    assert error.partial is not None
    assert error.partial.usage.input_tokens == 9
