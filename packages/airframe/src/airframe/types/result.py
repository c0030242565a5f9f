"""What came back: the answer, why it ended, what it used, and how it was reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from airframe.types.attempt import Attempt
from airframe.types.json_value import JSONObject, JSONValue
from airframe.types.messages import HostedToolPart, Message, Part, ReasoningPart, RefusalPart, TextPart, ToolCall

__all__ = ["Annotation", "FinishReason", "InferenceResult", "InferenceWarning", "ModelInfo", "RateLimit", "Usage"]


class FinishReason(StrEnum):
    """Why the model stopped, normalized; the backend's own word stays in `InferenceResult.raw_finish_reason`."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    PAUSE = "pause"
    ERROR = "error"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the backend counted them; None is what it did not say, which is not zero.

    `input_tokens` includes what was read from and written to the prompt cache, `output_tokens` includes reasoning.
    `raw` is the backend's own object.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    """Those of the tokens written that are kept for an hour, which costs more (Anthropic)."""
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    web_searches: int | None = None
    """How often the backend searched the web for the answer; each time is billed beside the tokens."""
    raw: JSONObject = field(default_factory=dict[str, JSONValue], repr=False)


@dataclass(frozen=True, slots=True)
class InferenceWarning:
    """Something that was asked for and not done, or seen and not understood. `subject` is the field it is about."""

    subject: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A citation in the answer. `raw` is the backend's own object."""

    kind: str
    url: str | None = None
    title: str | None = None
    start: int | None = None
    end: int | None = None
    raw: JSONObject = field(default_factory=dict[str, JSONValue], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """What the answer's headers said of the account's limits; None is what they did not say. Resets in seconds."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceResult:
    """One answer.

    `content` holds its parts in the order in which they were said; `text`, `reasoning`, `refusal` and `tool_calls` are
    views of it. `finish_reason` is None only in the `partial` of an error: the end was never seen. `model` is the one
    that answered, by its own account. `timings` and `extra` keep what the backend said beside the answer.
    """

    content: Sequence[Part] = ()
    finish_reason: FinishReason | None = None
    raw_finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    response_id: str | None = None
    request_id: str | None = None
    annotations: Sequence[Annotation] = ()
    logprobs: JSONValue = None
    rate_limit: RateLimit | None = None
    reported_cost: Decimal | None = None
    """What the backend says the call cost, in USD; None where it says nothing."""
    service_tier: str | None = None
    """The tier by which the backend says it bills, in its own word, such as `default`, `flex` or `batch`."""
    warnings: Sequence[InferenceWarning] = ()
    attempts: Sequence[Attempt] = ()
    timings: JSONObject | None = field(default=None, repr=False)
    extra: JSONObject = field(default_factory=dict[str, JSONValue], repr=False)

    @property
    def text(self) -> str:
        """What was said, without reasoning and tool calls."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def reasoning(self) -> str:
        """What was thought aloud."""
        return "".join(part.text for part in self.content if isinstance(part, ReasoningPart))

    @property
    def refusal(self) -> str | None:
        """The words of a refusal; None when the model did not refuse."""
        words = [part.text for part in self.content if isinstance(part, RefusalPart)]
        return "".join(words) if words else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that the model asks for."""
        return tuple(part for part in self.content if isinstance(part, ToolCall))

    @property
    def hosted_tools(self) -> tuple[HostedToolPart, ...]:
        """What the backend's own tools did, with what searches found."""
        return tuple(part for part in self.content if isinstance(part, HostedToolPart))

    @property
    def message(self) -> Message:
        """The answer as the assistant's turn, to be appended to the history."""
        return Message("assistant", self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model that an endpoint offers. `context_window` in tokens; `loaded` is None where the server does not say."""

    id: str
    owned_by: str | None = None
    context_window: int | None = None
    loaded: bool | None = None
    raw: JSONObject = field(default_factory=dict[str, JSONValue], repr=False)
