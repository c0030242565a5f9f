"""What a call through the gateway gives back: a whole answer, or pieces of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from airframe.types import ToolCall

__all__ = ["LLMResponse", "StreamingChunk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMResponse:
    """A whole answer, and what it took.

    Tokens and cost are those of the whole call: an attempt that answered nothing is paid for too. None is unknown.

    Attributes:
        text: what was said.
        tool_calls: the calls that the model asks for.
        tokens_used: prompt and completion together.
        prompt_tokens: as the backend counted them.
        completion_tokens: likewise.
        latency_ms: from the start of the call to the end of the answer.
        provider: who answered.
        model: by the backend's own account.
        cost_usd: in USD.
        timestamp: when the answer was there, in Unix seconds.
        metadata: `call_id`, `agent_name`, `finish_reason`, `usage_source`, `cost_low_usd` and `cost_high_usd` (other
            than `cost_usd` where a part of it is estimated), `warnings`, `attempts` (a tuple of `AttemptFinished`) and
            `result` (the `InferenceResult` itself, with reasoning and raw values).
        streamed: whether it came in pieces.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tokens_used: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: float
    provider: str
    model: str | None
    cost_usd: Decimal | None = None
    timestamp: float
    metadata: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    streamed: bool = False

    @property
    def call_id(self) -> str:
        """The name of the call in all records, and for `record_feedback`."""
        return str(self.metadata["call_id"])


@dataclass(slots=True)
class StreamingChunk:
    """A piece of an answer. The last one has `is_final` and no text.

    Attributes:
        text: the piece.
        is_final: whether the answer is complete.
        request_id: the call's id, the same in every piece.
        agent_name: for whom the call was made.
        provider: who answers.
        model: what was asked for; in the last piece, what answered by the backend's own account.
        cumulative_tokens: tokens so far. While the answer comes, pieces of text, reasoning and tool calls are counted:
            exact with llama.cpp, too few where a backend sends several tokens at once. The last piece has the
            backend's own number where it gives one.
        timestamp: when the piece came, in Unix seconds.
    """

    text: str
    is_final: bool
    request_id: str
    agent_name: str | None
    provider: str
    model: str | None
    cumulative_tokens: int
    timestamp: float
