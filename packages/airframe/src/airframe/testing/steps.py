"""The steps of a script: what a scripted backend says at one call. Times are in seconds, on the player's clock."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from typing import TypeAlias

from airframe.errors import (
    AirframeError,
    BackendError,
    CallTimeoutError,
    ConnectionFailedError,
    ErrorCategory,
    Phase,
    TLSError,
)
from airframe.testing.mutators import Mutator
from airframe.types import FinishReason, InferenceRequest, InferenceWarning, ToolCall, Usage

__all__ = ["Answer", "Failure", "Step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer. A stream says `reasoning`, `chunks` (or `text` in one piece) and `tool_calls`, in this order.

    Attributes:
        text: the text, whole; not together with `chunks`.
        chunks: the text in pieces.
        reasoning: what is thought before, whole or in pieces.
        tool_calls: the calls that the model asks for.
        usage: what it reports; unknown unless given.
        finish_reason: by default `TOOL_CALLS` when there are tool calls and `STOP` otherwise.
        model: by default the one that was asked for.
        delay: seconds until the first piece.
        pause: seconds before each further piece, and before the end.
        response_id: of the result, as the following three.
        request_id: by which the backend knows the exchange.
        reported_cost: what the backend says it cost, in USD.
        warnings: what the wire format could not carry.
        faults: what happens to the answer on its way over the wire (see `airframe.testing.mutators`). Only a player
            that makes bytes of the script can do this.
    """

    text: str = ""
    chunks: Sequence[str] = ()
    reasoning: str | Sequence[str] = ""
    tool_calls: Sequence[ToolCall] = ()
    usage: Usage = field(default_factory=Usage)
    finish_reason: FinishReason | None = None
    model: str | None = None
    delay: float = 0.0
    pause: float = 0.0
    response_id: str | None = None
    request_id: str | None = None
    reported_cost: Decimal | None = None
    warnings: Sequence[InferenceWarning] = ()
    faults: Mutator | None = None

    def __post_init__(self) -> None:
        if self.text and self.chunks:
            raise ValueError("Answer takes text or chunks, not both: chunks are the text in pieces")
        _check("Answer", self.chunks, self.reasoning, self.delay, self.pause)

    @property
    def texts(self) -> Sequence[str]:
        """The text in its pieces."""
        return self.chunks or ((self.text,) if self.text else ())

    @property
    def thoughts(self) -> Sequence[str]:
        """The reasoning in its pieces."""
        return _pieces(self.reasoning)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, raised after `reasoning` and `chunks` have been said.

    A category stands for an error of the class that usually has it, with the status that usually means it; `message`,
    `status`, `code` and `retry_after` make it more exact. An error of your own is raised as it is.

    `usage` is what the backend had counted by then, and becomes part of `AirframeError.partial`. `delay` and `pause`
    are those of `Answer`.
    """

    error: AirframeError | ErrorCategory
    _: KW_ONLY
    chunks: Sequence[str] = ()
    reasoning: str | Sequence[str] = ""
    usage: Usage = field(default_factory=Usage)
    message: str | None = None
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    delay: float = 0.0
    pause: float = 0.0

    def __post_init__(self) -> None:
        exact = (self.message, self.status, self.code, self.retry_after)
        if isinstance(self.error, AirframeError) and any(value is not None for value in exact):
            raise ValueError("Failure takes message, status, code and retry_after beside a category: an error has them")
        _check("Failure", self.chunks, self.reasoning, self.delay, self.pause)

    @property
    def texts(self) -> Sequence[str]:
        """What is said before, in its pieces."""
        return self.chunks

    @property
    def thoughts(self) -> Sequence[str]:
        """What is thought before, in its pieces."""
        return _pieces(self.reasoning)

    def to_error(self) -> AirframeError:
        """A new error to raise."""
        if isinstance(self.error, AirframeError):
            return copy.copy(self.error)
        category = self.error
        kind = _CLASSES.get(category, BackendError)
        said = bool(self.chunks or self.reasoning)
        status = self.status or (None if kind is not BackendError else 200 if said else _STATUSES.get(category))
        return kind(
            self.message or f"scripted: {category}",
            category=category,
            phase=Phase.CONTENT if said else Phase.HEADERS if status else Phase.SENT,
            status=status,
            code=self.code,
            retry_after=self.retry_after,
        )


Step: TypeAlias = str | Answer | Failure | Callable[[InferenceRequest], "str | Answer | Failure"]
"""What happens at one call. A text is an `Answer` of it; a function is asked with the request."""


_CLASSES: dict[ErrorCategory, type[AirframeError]] = {
    ErrorCategory.CONNECTION: ConnectionFailedError,
    ErrorCategory.TIMEOUT: CallTimeoutError,
    ErrorCategory.TLS: TLSError,
}

_STATUSES = {
    ErrorCategory.AUTH: 401,
    ErrorCategory.BILLING: 402,
    ErrorCategory.PERMISSION: 403,
    ErrorCategory.RATE_LIMIT: 429,
    ErrorCategory.OVERLOADED: 503,
    ErrorCategory.LOADING: 503,
    ErrorCategory.CONTEXT_LENGTH: 400,
    ErrorCategory.CONTENT_FILTER: 400,
    ErrorCategory.NOT_FOUND: 404,
    ErrorCategory.UNSUPPORTED: 400,
    ErrorCategory.INVALID_REQUEST: 400,
    ErrorCategory.CONFLICT: 409,
    ErrorCategory.SERVER: 500,
}


def _pieces(text: str | Sequence[str]) -> Sequence[str]:
    if isinstance(text, str):
        return (text,) if text else ()
    return text


def _check(owner: str, chunks: object, reasoning: object, delay: float, pause: float) -> None:
    if isinstance(chunks, str):
        raise TypeError(f"{owner}.chunks must be a list of texts, got a text; put it in brackets")
    if not isinstance(reasoning, (str, Sequence)):
        raise TypeError(f"{owner}.reasoning must be a text or a list of texts, got {type(reasoning).__name__}")
    for name, value in (("delay", delay), ("pause", pause)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"{owner}.{name} must be 0 or more seconds, got {value}")
