"""One provider's answer, as `LLMProvider.complete` gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Generic, TypeVar

from airframe.types import FinishReason, InferenceResult, InferenceWarning, ToolCall, Usage

__all__ = ["CompletionResult", "added_usage", "tokens_used"]

ParsedT_co = TypeVar("ParsedT_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionResult(Generic[ParsedT_co]):
    """An answer. `result` is all that airframe knows of it; the properties are views of the most used parts.

    Attributes:
        provider: who answered.
        model: by the backend's own account, else the one that was asked for.
        usage: tokens as the backend counted them, those of a first try that had to be repaired included.
        cost: what the answer cost in USD; None where that is unknown.
        parsed: the answer as the `output_type` that was asked for; None when none was.
    """

    provider: str
    model: str | None
    result: InferenceResult
    usage: Usage
    cost: Decimal | None
    parsed: ParsedT_co

    @property
    def content(self) -> str:
        """What was said."""
        return self.result.text

    @property
    def text(self) -> str:
        """The same: the word that streams and responses have for it."""
        return self.result.text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that the model asks for."""
        return self.result.tool_calls

    @property
    def has_tool_calls(self) -> bool:
        """Whether it asks for any."""
        return bool(self.result.tool_calls)

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the model stopped."""
        return self.result.finish_reason

    @property
    def tokens_used(self) -> int | None:
        """Prompt and answer together; None where the backend did not say."""
        return tokens_used(self.usage)

    @property
    def warnings(self) -> tuple[InferenceWarning, ...]:
        """What was asked for and not done."""
        return tuple(self.result.warnings)

    @property
    def metadata(self) -> Mapping[str, object]:
        """What else is known: `provider`, `reasoning`, `response_id`, `request_id`, `raw_finish_reason`, `attempts`,
        `timings`.
        """
        result = self.result
        return {
            "provider": self.provider,
            "reasoning": result.reasoning or None,
            "response_id": result.response_id,
            "request_id": result.request_id,
            "raw_finish_reason": result.raw_finish_reason,
            "attempts": tuple(result.attempts),
            "timings": result.timings,
        }


def tokens_used(usage: Usage) -> int | None:
    """Prompt and answer together; None where that is unknown."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return usage.total_tokens
    return usage.input_tokens + usage.output_tokens


def added_usage(first: Usage, second: Usage) -> Usage:
    """The tokens of two exchanges. Unknown is what neither of them says."""
    counts = [item.name for item in fields(Usage) if item.name != "raw"]
    pairs = {name: (getattr(first, name), getattr(second, name)) for name in counts}
    sums: dict[str, Any] = {
        name: (one or 0) + (other or 0) for name, (one, other) in pairs.items() if (one, other) != (None, None)
    }
    return Usage(**sums)
