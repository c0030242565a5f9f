"""How many tokens an attempt used, also where the backend did not come to say so: then within bounds, and marked.

The bounds of text are wide enough for 97 of 100 prompts: of 66 recorded ones of 400 bytes and more, without tools, one
had fewer than 1.5 bytes in a token (emoji and digits) and none more than 8; OpenAI, Anthropic, Azure, OpenRouter,
recorded until 2026-11-20. What is not text has no bounds, and neither has an answer of which nothing came.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from airframe.errors import ErrorCategory, Phase
from airframe.types import (
    AudioPart,
    FilePart,
    HostedTool,
    ImagePart,
    InferenceRequest,
    InferenceResult,
    ToolSpec,
    Usage,
)
from avionics.llm.records import UsageSource
from avionics.llm.requests import estimate_prompt_tokens, estimate_tokens, message_text, utf8_length

__all__ = ["Consumption", "broken_consumption", "may_be_billed", "prompt_bounds", "whole_consumption"]

_BYTES_OF_SHORT_TOKENS, _BYTES_OF_LONG_TOKENS = 1.5, 8
_TEMPLATE_TOKENS = 32
"""The most that a chat template puts around a message (recorded: up to 13, and hidden instructions beside them)."""

_CUT_OFF = frozenset({ErrorCategory.CONNECTION, ErrorCategory.PROTOCOL, ErrorCategory.TIMEOUT})
_UNDER_WAY = frozenset({Phase.SENT, Phase.HEADERS, Phase.CONTENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """The tokens of one attempt, and who counted them.

    `usage` is the backend's count, or what is likely; `low` and `high` bound what is likely. None is unknown; a `high`
    of None is without bounds.
    """

    usage: Usage | None = None
    source: UsageSource = "unknown"
    low: Usage | None = None
    high: Usage | None = None


def whole_consumption(answer: InferenceResult) -> Consumption:
    """The tokens of an answer that came whole: as the backend reported them, or unknown."""
    usage = answer.usage
    if usage.input_tokens is None and usage.output_tokens is None:
        return Consumption()
    return Consumption(usage=usage, source="reported", low=usage, high=usage)


def broken_consumption(
    request: InferenceRequest, answer: InferenceResult | None, *, pieces: int, sent: bool
) -> Consumption:
    """The tokens of an attempt that ended before its answer did.

    A broken answer rarely comes to report, and what it reports at its beginning is not all: what is missing is
    estimated, from the length of the texts and the `pieces` that came. Of whom nothing was heard is taken to have used
    nothing, unless the request was `sent` and may have been worked on.
    """
    answer = answer or InferenceResult()
    said = message_text(answer.message)
    if not (said or pieces or answer.content or sent):
        return whole_consumption(answer)
    usage = answer.usage
    likely_answer = max(pieces, estimate_tokens(said))
    if usage.input_tokens is not None and (usage.output_tokens or 0) >= max(likely_answer, 1):
        return whole_consumption(answer)
    least, most = prompt_bounds(request)
    low = likely = high = usage
    if usage.input_tokens is None:  # at best all of the prompt was in a cache, at worst it was put there
        low = replace(usage, input_tokens=least, cache_read_tokens=least)
        likely = replace(usage, input_tokens=estimate_prompt_tokens(request))
        high = replace(usage, input_tokens=most, cache_write_tokens=most)
    longest = _longest_answer(request, said, pieces)
    so_far = usage.output_tokens or 0
    return Consumption(
        usage=_with_answer(likely, max(so_far, likely_answer)),
        source="estimated",
        low=_with_answer(low, max(so_far, _fewest(said))),
        high=None
        if high.input_tokens is None or longest is None
        else _with_answer(high, max(so_far, likely_answer, longest)),
    )


def may_be_billed(category: ErrorCategory | None, status: int | None, phase: Phase | None) -> bool:
    """Whether a backend may have worked on a request that it neither answered nor refused."""
    if status is not None and status >= 300:
        return False
    return category is ErrorCategory.CANCELLED or (category in _CUT_OFF and (status is not None or phase in _UNDER_WAY))


def prompt_bounds(request: InferenceRequest) -> tuple[int, int | None]:
    """The fewest and the most tokens that the prompt may be; None where it holds what is not text."""
    texts = list(map(message_text, request.messages))
    if _has_unbounded_parts(request):
        return sum(map(_fewest, texts)), None
    tools = [json.dumps([tool.name, tool.description, tool.parameters], default=str) for tool in _tools(request)]
    return sum(map(_fewest, texts)), sum(map(_most, [*texts, *tools])) + _TEMPLATE_TOKENS * len(texts)


def _tools(request: InferenceRequest) -> Iterator[ToolSpec]:
    return (tool for tool in request.tools if isinstance(tool, ToolSpec))


def _has_unbounded_parts(request: InferenceRequest) -> bool:
    media = any(isinstance(part, (AudioPart, FilePart, ImagePart)) for turn in request.messages for part in turn.parts)
    hosted = any(isinstance(tool, HostedTool) for tool in request.tools)
    return media or hosted or request.previous_response_id is not None


def _longest_answer(request: InferenceRequest, said: str, pieces: int) -> int | None:
    """As long as was allowed; else no longer than what came, hidden thoughts apart. None where nothing is known."""
    if request.max_tokens is not None:
        return request.max_tokens
    if not said and not pieces:
        return None
    return max(pieces, _most(said))


def _with_answer(usage: Usage, tokens: int) -> Usage:
    return replace(usage, output_tokens=tokens, total_tokens=(usage.input_tokens or 0) + tokens)


def _fewest(text: str) -> int:
    return utf8_length(text) // _BYTES_OF_LONG_TOKENS


def _most(text: str) -> int:
    return math.ceil(utf8_length(text) / _BYTES_OF_SHORT_TOKENS)
