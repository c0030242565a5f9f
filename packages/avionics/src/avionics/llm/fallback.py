"""When another provider is asked: pure decisions, over one table.

Only what has delivered nothing to the caller may fall back; who delivers knows whether it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from airframe.errors import AirframeError, ErrorCategory, MalformedAnswerError
from airframe.types import FinishReason, InferenceResult, ReasoningPart, TextPart
from avionics.llm.routing import Deployment, RoutePlan, fails_over

__all__ = ["FALLS_BACK", "empty_answer_error", "is_empty", "still_to_ask"]

FALLS_BACK: Mapping[ErrorCategory, bool] = MappingProxyType(
    {
        # This key, account or backend is the trouble: another one may do.
        ErrorCategory.AUTH: True,
        ErrorCategory.PERMISSION: True,
        ErrorCategory.BILLING: True,
        ErrorCategory.RATE_LIMIT: True,
        ErrorCategory.OVERLOADED: True,
        ErrorCategory.LOADING: True,
        ErrorCategory.NOT_FOUND: True,
        ErrorCategory.UNSUPPORTED: True,
        ErrorCategory.TIMEOUT: True,
        ErrorCategory.SERVER: True,
        ErrorCategory.CONNECTION: True,
        ErrorCategory.PROTOCOL: True,
        ErrorCategory.UNKNOWN: True,
        # The request is the trouble: it would be everywhere, or whoever asked must know.
        ErrorCategory.INVALID_REQUEST: False,
        ErrorCategory.CONFLICT: False,
        ErrorCategory.CONTENT_FILTER: False,
        # Somebody may be listening in: that has to be seen, not worked around.
        ErrorCategory.TLS: False,
        ErrorCategory.CANCELLED: False,
        # Only to a larger window: `still_to_ask`.
        ErrorCategory.CONTEXT_LENGTH: False,
    }
)
"""Whether a failure of a category is a reason to ask the next provider."""

_HONEST_SILENCE = frozenset(
    {FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.REFUSAL, FinishReason.PAUSE, FinishReason.CANCELLED}
)
"""Reasons that explain an answer without words; asking somebody else would not."""


def still_to_ask(
    remaining: tuple[Deployment, ...],
    failed: Deployment,
    category: ErrorCategory,
    plan: RoutePlan,
    *,
    asked: Iterable[Deployment] = (),
) -> tuple[Deployment, ...]:
    """Who of `remaining` is worth asking after `failed` failed like that. Pure.

    A prompt that is too long goes to the route's own chain for that, else to larger windows; one that was blocked, to
    the chain for that, else to nobody. Of a chain nobody is asked who was `asked` before.
    """
    known = {failed.name, *(each.name for each in asked)}
    if category is ErrorCategory.CONTEXT_LENGTH:
        return tuple(each for each in plan.longer_windows(remaining, failed) if each.name not in known)
    if category is ErrorCategory.CONTENT_FILTER:
        return tuple(each for each in plan.content_filter if each.name not in known)
    if not FALLS_BACK[category]:
        return ()
    return tuple(each for each in remaining if not _is_backup_of(each, failed) or fails_over(category, each))


def _is_backup_of(deployment: Deployment, failed: Deployment) -> bool:
    return deployment.backup is not None and deployment.provider == failed.provider


def is_empty(result: InferenceResult) -> bool:
    """Whether a whole answer says nothing, and not for a reason: no text, no tool call, at most a thought."""
    silent = all(isinstance(part, (TextPart, ReasoningPart)) for part in result.content) and not result.text
    return silent and result.finish_reason not in _HONEST_SILENCE


def empty_answer_error(result: InferenceResult) -> AirframeError:
    """The failure that an empty answer is, as long as somebody else can be asked. Its `partial` keeps the usage."""
    error = MalformedAnswerError("the answer is empty: no text and no tool call")
    error.partial = result
    error.attempts = result.attempts
    return error
