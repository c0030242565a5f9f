"""The events of a stream, in the order in which they come.

    TOKEN | REASONING | TOOL_CALL_DELTA   any number, as the model speaks
    TOOL_CALL                             one for each call, whole, once the answer is known to be complete
    MESSAGE                               exactly one: the assembled result
    DONE                                  exactly one, last

A failure is raised, never an event. `event.type` tells the classes apart, also for a type checker.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, TypeAlias

from airframe.types.messages import ToolCall
from airframe.types.result import InferenceResult

__all__ = [
    "DoneEvent",
    "MessageEvent",
    "ReasoningEvent",
    "StreamEvent",
    "StreamEventType",
    "TokenEvent",
    "ToolCallDeltaEvent",
    "ToolCallEvent",
]


class StreamEventType(StrEnum):
    """The kinds of event a stream may hold."""

    TOKEN = "token"
    REASONING = "reasoning"
    TOOL_CALL_DELTA = "tool_call_delta"
    TOOL_CALL = "tool_call"
    MESSAGE = "message"
    DONE = "done"


@dataclass(slots=True)
class TokenEvent:
    """A piece of the answer's text."""

    text: str
    type: ClassVar[Literal[StreamEventType.TOKEN]] = StreamEventType.TOKEN


@dataclass(slots=True)
class ReasoningEvent:
    """A piece of the model's reasoning."""

    text: str
    type: ClassVar[Literal[StreamEventType.REASONING]] = StreamEventType.REASONING


@dataclass(slots=True)
class ToolCallDeltaEvent:
    """A piece of a tool call under construction: `position` counts the calls of this answer from 0.

    `id` and `name` are those known so far, `arguments` is the new piece of JSON text. To act, wait for `ToolCallEvent`.
    """

    position: int
    id: str | None
    name: str | None
    arguments: str
    type: ClassVar[Literal[StreamEventType.TOOL_CALL_DELTA]] = StreamEventType.TOOL_CALL_DELTA


@dataclass(slots=True)
class ToolCallEvent:
    """A complete tool call."""

    tool_call: ToolCall
    type: ClassVar[Literal[StreamEventType.TOOL_CALL]] = StreamEventType.TOOL_CALL


@dataclass(slots=True)
class MessageEvent:
    """The whole answer."""

    result: InferenceResult
    type: ClassVar[Literal[StreamEventType.MESSAGE]] = StreamEventType.MESSAGE


@dataclass(slots=True)
class DoneEvent:
    """The end."""

    type: ClassVar[Literal[StreamEventType.DONE]] = StreamEventType.DONE


StreamEvent: TypeAlias = TokenEvent | ReasoningEvent | ToolCallDeltaEvent | ToolCallEvent | MessageEvent | DoneEvent
