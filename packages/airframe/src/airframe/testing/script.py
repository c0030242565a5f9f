"""A script: what a scripted backend says, as data. Who plays it is another matter (an adapter, a server).

    Script([Failure(ErrorCategory.OVERLOADED), Answer(chunks=["The sky ", "is blue."]), "And that is all."])
    Script.load("weather.yaml")

Times are in seconds, on the player's clock.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Self, TypeAlias, cast

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

__all__ = ["Answer", "Failure", "Script", "ScriptPlayer", "Step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer. A stream says `reasoning`, `chunks` (or `text` in one piece) and `tool_calls`, in this order.

    Attributes:
        text, chunks: the text, whole or in pieces; not both.
        reasoning: what is thought before, whole or in pieces.
        tool_calls: the calls that the model asks for.
        usage: what it reports; unknown unless given.
        finish_reason: by default `TOOL_CALLS` when there are tool calls and `STOP` otherwise.
        model: by default the one that was asked for.
        delay: seconds until the first piece.
        pause: seconds before each further piece, and before the end.
        response_id, request_id, reported_cost, warnings: of the result.
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


@dataclass(frozen=True, slots=True)
class Script:
    """Steps, one for each call.

    Attributes:
        steps: in order. An iterator is read as calls come, and may be endless: `repeat(answer_to)`.
        models: what the backend says it offers, by id.
        repeats: begin again after the last step.
        name: what an error calls it: the file.
    """

    steps: Iterable[Step]
    _: KW_ONLY
    models: Sequence[str] = ()
    repeats: bool = False
    name: str = "the script"

    def __post_init__(self) -> None:
        if isinstance(self.steps, (str, Answer, Failure)):
            raise TypeError(
                f"a script is a list of steps, got a single {type(self.steps).__name__}; put it in brackets"
            )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a script from a YAML or JSON file (see `airframe.testing.script_file`).

        Raises `ScriptFileError`, which names file, line and field.
        """
        from airframe.testing.script_file import read_script

        return cast("Self", read_script(Path(path)))


class ScriptPlayer:
    """Goes through a script, one step at each call. Safe to share between threads."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._length = len(script.steps) if isinstance(script.steps, Sized) and not script.repeats else None
        self._steps: Iterator[Step] = cycle(script.steps) if script.repeats else iter(script.steps)
        self._lock = threading.Lock()
        self.played = 0
        """Steps that were taken."""

    def next_step(self, request: InferenceRequest) -> Answer | Failure:
        """Take the next step. Raises `RuntimeError` when there is none left."""
        with self._lock:
            step = next(self._steps, None)
            if step is None:
                call = self.played + 1
                raise RuntimeError(
                    f"{self._script.name} has no step for call {call}; give it one more, or let it repeat"
                )
            self.played += 1
        if callable(step):
            step = step(request)
        return Answer(text=step) if isinstance(step, str) else step

    def assert_played(self) -> None:
        """Raises `AssertionError` if steps are left. A script without an end (see `Script`) has always been played."""
        left = 0 if self._length is None else self._length - self.played
        if left:
            steps = list(self._script.steps)
            raise AssertionError(
                f"{self._script.name} was not played to its end: {left} of {self._length} steps are left, "
                f"the first of them {_shown(steps[self.played])}"
            )


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


def _shown(step: Step) -> str:
    match step:
        case str():
            return repr(step[:60])
        case Answer():
            said = "".join(step.texts) or ", ".join(call.name for call in step.tool_calls) or "nothing"
            return f"an Answer that says {said[:60]!r}"
        case Failure():
            return f"a Failure ({step.to_error().category})"
        case _:
            return f"the function {getattr(step, '__name__', step)}"
