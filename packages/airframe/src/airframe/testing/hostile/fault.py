"""A fault: what a server does wrong, and what airframe makes of it.

    BODY = Section("The body")

    @BODY.fault(stream=raises(ConnectionFailedError, Phase.CONTENT, said=BEGINNING), whole=raises(...))
    def reset_between_chunks(turn: Turn) -> None:
        \"\"\"RST between two chunks.\"\"\"
        turn.send(turn.head() + chunk(turn.beginning))
        turn.connection.reset()

    HostileServer(reset_between_chunks.script(traffic))

The docstring is the fault's line in the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from airframe.endpoints import Limits, Timeouts
from airframe.errors import AirframeError, ErrorCategory, Phase, TimeoutKind
from airframe.testing.hostile.server import Connection, Script, chunk, head
from airframe.testing.hostile.traffic import Document, Traffic, encoded
from airframe.types.result import FinishReason

__all__ = [
    "BEGINNING",
    "PATIENT",
    "PIECES",
    "TEXT",
    "Fault",
    "Outcome",
    "Section",
    "Turn",
    "answers",
    "raises",
    "striking",
]

PIECES = ("The sky ", "is blue", " né 天空 🚀.")
"""What is said, piece by piece, where the fault does not ask for something else."""

TEXT = "".join(PIECES)
BEGINNING = "".join(PIECES[:2])
"""What is said before faults that strike in the middle."""

PATIENT = Timeouts(connect=20.0, first_event=20.0, idle=20.0, attempt=30.0, total=40.0)
"""Timeouts for faults that are not about time: long, so that a busy machine does not change the outcome."""

_STEPS = (0.1, 1.0, 6.0)  # seconds; a loopback exchange takes the first of a hundred on an idle machine


def striking(**steps: float) -> tuple[Timeouts, ...]:
    """Timeouts for faults that are about time: the named ones are short, by so many steps, all others `PATIENT`.

    A short limit may strike before the server has got to its fault, and how short that is depends on the machine. So
    there are three: who finds that the first struck too soon tries the next, which is ten times as long.
    """
    return tuple(replace(PATIENT, **{kind: number * step for kind, number in steps.items()}) for step in _STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a caller gets. Build it by `answers` or `raises`.

    Attributes:
        text: the text that was delivered, before the error if there is one.
        finish_reason: of a whole answer.
        tool_calls: its tool calls, as (name, arguments).
        tokens: the usage that it reports, for what went in and for what came out.
        warned: whether it comes with a warning.
        error: the exact class; None for a whole answer.
        category, phase, timeout, limit: of the error.
    """

    text: str = ""
    finish_reason: FinishReason = FinishReason.STOP
    tool_calls: tuple[tuple[str, str], ...] = ()
    tokens: int | None = None
    warned: bool = False
    error: type[AirframeError] | None = None
    category: ErrorCategory | None = None
    phase: Phase | None = None
    timeout: TimeoutKind | None = None
    limit: str | None = None

    def __str__(self) -> str:
        if self.error is None:
            reason = "" if self.finish_reason is FinishReason.STOP else f", finish `{self.finish_reason}`"
            return f"the answer{reason}{', with a warning' if self.warned else ''}"
        which = self.timeout or self.limit or self.category
        return f"`{self.error.__name__}`, `{which}`, in `{self.phase}`{', prefix kept' if self.text else ''}"


def answers(
    text: str = TEXT,
    finish_reason: FinishReason = FinishReason.STOP,
    *,
    tool_calls: tuple[tuple[str, str], ...] = (),
    tokens: int | None = None,
    warned: bool = False,
) -> Outcome:
    """The whole answer, and one end."""
    return Outcome(text=text, finish_reason=finish_reason, tool_calls=tool_calls, tokens=tokens, warned=warned)


def raises(
    error: type[AirframeError],
    phase: Phase = Phase.CONTENT,
    *,
    said: str = "",
    category: ErrorCategory | None = None,
    timeout: TimeoutKind | None = None,
    limit: str | None = None,
) -> Outcome:
    """One error, after `said` was delivered."""
    return Outcome(
        text=said,
        error=error,
        category=category or error.default_category,
        phase=phase,
        timeout=timeout,
        limit=limit,
    )


@dataclass(frozen=True)
class Turn:
    """The server's turn: a request was read, and is to be answered, well or badly."""

    connection: Connection
    traffic: Traffic
    streamed: bool

    @cached_property
    def body(self) -> bytes:
        """The right body: a stream, or a document."""
        return self.traffic.answer(*PIECES) if self.streamed else encoded(self.traffic.whole(TEXT))

    @cached_property
    def beginning(self) -> bytes:
        """Its beginning: what says `BEGINNING`, or half the document."""
        if self.streamed:
            return self.traffic.said(*PIECES[:2])
        return self.body[: len(self.body) // 2]

    @property
    def rest(self) -> bytes:
        """What belongs after the beginning."""
        return self.body[len(self.beginning) :]

    def head(self, content_type: str | None = None, **headers: str) -> bytes:
        """The head of a successful answer with a chunked body."""
        usual = self.traffic.content_type if self.streamed else "application/json"
        return head(200, content_type=content_type or usual, chunked=True, headers=headers)

    def send(self, data: bytes) -> None:
        """Send as it stands."""
        self.connection.send(data)

    def answer(self, body: bytes, content_type: str | None = None, **headers: str) -> None:
        """A successful answer with this body, and no fault in its HTTP."""
        self.send(self.head(content_type, **headers) + (chunk(body) if body else b"") + chunk())

    def say(self, *documents: Document | bytes) -> None:
        """The same for a stream of these events, bytes standing for what is no JSON; a document is the first one."""
        if self.streamed:
            self.answer(b"".join(self.traffic.frame(document) for document in documents))
        else:
            self.answer(encoded(documents[0]))

    def begin(self, *documents: Document | bytes) -> bytes:
        """The head and the beginning of a stream, and these events after it."""
        return self.head() + chunk(self.beginning + b"".join(self.traffic.frame(document) for document in documents))


Play: TypeAlias = Callable[[Turn], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a server does wrong.

    Attributes:
        play: does it.
        stream, whole: what `stream_infer` and `infer` make of it; None where it cannot happen.
        only: in which wire formats it can happen; None is in all.
        timeouts: under which it shows; several where it is about time, the shortest first: see `striking`.
        limits: under which it shows.
    """

    play: Play
    _: KW_ONLY
    stream: Outcome | None
    whole: Outcome | None
    only: Callable[[Traffic], bool] | None = None
    timeouts: tuple[Timeouts, ...] = (PATIENT,)
    limits: Limits = field(default_factory=Limits)

    @property
    def name(self) -> str:
        """What it is called, in tests and in the documentation."""
        return self.play.__name__

    @property
    def injected(self) -> str:
        """What the server does, in words."""
        return (self.play.__doc__ or "").strip()

    def happens_in(self, traffic: Traffic) -> bool:
        """Whether it can happen in this wire format."""
        return self.only is None or self.only(traffic)

    def script(self, traffic: Traffic) -> Script:
        """The fault in one wire format, for a `HostileServer`. Questions that come before are answered well."""

        def script(connection: Connection) -> None:
            if document := traffic.preliminary(connection.request):
                body = encoded(document)
                connection.send(head(content_length=len(body)) + body)
            else:
                self.play(Turn(connection, traffic, traffic.is_stream(connection.request)))

        return script


class Section:
    """A chapter of faults."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._faults: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def fault(
        self,
        *,
        stream: Outcome | None = None,
        whole: Outcome | None = None,
        only: Callable[[Traffic], bool] | None = None,
        timeouts: tuple[Timeouts, ...] = (PATIENT,),
        limits: Limits | None = None,
    ) -> Callable[[Play], Fault]:
        """Make a fault of a function, and add it to the chapter."""

        def add(play: Play) -> Fault:
            fault = Fault(play, stream=stream, whole=whole, only=only, timeouts=timeouts, limits=limits or Limits())
            self._faults.append(fault)
            return fault

        return add
