"""A function applied to the texts of requests and answers, wherever they stand.

Thoughts that their issuer signed stay as they are, as do its own records (`raw`, citations) and what is no text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar, cast

from airframe.types import (
    FilePart,
    ImagePart,
    InferenceRequest,
    InferenceResult,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
)

__all__ = ["Change", "change_request", "change_result"]

Change: TypeAlias = Callable[[str], str]

PartT = TypeVar("PartT", bound=Part)


def change_request(request: InferenceRequest, text: Change, document: Change) -> InferenceRequest:
    """The request with changed messages, `user` and values of `metadata`. `document` changes JSON texts."""
    metadata = request.metadata and {name: text(value) for name, value in request.metadata.items()}
    return replace(
        request,
        messages=[_message(message, text, document) for message in request.messages],
        user=request.user and text(request.user),
        metadata=metadata,
    )


def change_result(result: InferenceResult, text: Change, document: Change) -> InferenceResult:
    """The answer with changed parts."""
    return replace(result, content=tuple(_part(part, text, document) for part in result.content))


def _message(message: Message, text: Change, document: Change) -> Message:
    if isinstance(message.content, str):
        return replace(message, content=text(message.content))
    return replace(message, content=tuple(_part(part, text, document) for part in message.content))


def _part(part: PartT, text: Change, document: Change) -> PartT:
    changed: Part
    match part:
        case TextPart() | RefusalPart():
            changed = replace(part, text=text(part.text))
        case ReasoningPart(signature=None, raw=None):
            changed = replace(part, text=text(part.text))
        case ToolCall():
            changed = replace(part, arguments=document(part.arguments))
        case ToolResultPart(content=str(content)):
            changed = replace(part, content=text(content))
        case ToolResultPart():
            inner = cast("Sequence[TextPart | ImagePart | FilePart]", part.content)
            changed = replace(part, content=tuple(_part(item, text, document) for item in inner))
        case FilePart(context=str(context)):
            changed = replace(part, context=text(context))
        case _:
            changed = part
    return cast("PartT", changed)
