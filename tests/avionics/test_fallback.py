"""One table decides who falls back, and an empty answer is a failure only while somebody else can be asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airframe.errors import ErrorCategory
from airframe.types import FinishReason, InferenceResult, Part, ReasoningPart, RefusalPart, TextPart, ToolCall, Usage
from avionics.llm.fallback import FALLS_BACK, empty_answer_error, is_empty, still_to_ask
from avionics.llm.routing import Circumstances, Deployment, Needs, Route, Tier, plan

ANOTHER_MAY_DO = {
    "auth", "permission", "billing", "rate_limit", "overloaded", "loading", "not_found", "unsupported", "timeout",
    "server", "connection", "protocol", "unknown",
}  # fmt: skip


FIRST, BACKUP, OTHER = Deployment(provider="a"), Deployment(provider="a", backup=0), Deployment(provider="b")


def still(
    category: ErrorCategory,
    *remaining: Deployment,
    content_filter: tuple[Tier, ...] = (),
    context_length: tuple[Tier, ...] = (),
) -> tuple[Deployment, ...]:
    """Who is asked after the first deployment failed like that."""
    tiers = (Tier(deployments=(FIRST, *remaining)),)
    route = Route(name="r", tiers=tiers, content_filter=content_filter, context_length=context_length)
    made = plan(route, Needs(input_tokens=10), Circumstances(), specs={}, healths={}, now=0.0)
    return still_to_ask(remaining, FIRST, category, made)


@pytest.mark.parametrize("category", ErrorCategory)
def test_a_failure_falls_back_where_another_provider_may_do(category: ErrorCategory) -> None:
    """A wrong request, a blocked prompt, a conflict, a broken certificate and a cancellation do not fall back."""
    assert still(category, OTHER) == ((OTHER,) if category.value in ANOTHER_MAY_DO else ())
    assert category in FALLS_BACK


@pytest.mark.parametrize("category", ErrorCategory)
def test_a_backup_is_asked_where_the_endpoint_was_the_trouble(category: ErrorCategory) -> None:
    """Not for its key, its account, its model or its quota, which are the same there."""
    endpoint = {"connection", "timeout", "overloaded", "loading", "server", "protocol"}
    assert (BACKUP in still(category, BACKUP, OTHER)) is (category.value in endpoint)


def test_a_backup_with_a_quota_of_its_own_is_asked_after_a_rate_limit() -> None:
    """Its limits are counted apart."""
    own = replace(BACKUP, own_quota=True)
    assert still(ErrorCategory.RATE_LIMIT, BACKUP, OTHER) == (OTHER,)
    assert still(ErrorCategory.RATE_LIMIT, own, OTHER) == (own, OTHER)


def test_a_blocked_prompt_goes_to_the_chain_for_it_only() -> None:
    """Where the route has none, nobody else is asked."""
    chain = (Tier(deployments=(OTHER,)),)
    assert still(ErrorCategory.CONTENT_FILTER, BACKUP) == ()
    assert still(ErrorCategory.CONTENT_FILTER, BACKUP, content_filter=chain) == (OTHER,)


def test_a_prompt_that_is_too_long_goes_to_the_chain_for_it() -> None:
    """Else to larger windows; where none is known to be larger, to nobody."""
    chain = (Tier(deployments=(OTHER,)),)
    assert still(ErrorCategory.CONTEXT_LENGTH, OTHER) == ()
    assert still(ErrorCategory.CONTEXT_LENGTH, context_length=chain) == (OTHER,)


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
