"""What was said, in the JSON shape of the conventions. Pure.

Every text goes through `keep`, which takes out what must not be told and cuts what is too long. The bytes of pictures,
sound and documents are not told, only how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, assert_never

from airframe.endpoints import BackendKind
from airframe.types import (
    AudioPart,
    FilePart,
    HostedTool,
    HostedToolPart,
    ImagePart,
    InferenceRequest,
    InferenceResult,
    JSONObject,
    JSONValue,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
)
from avionics.telemetry import semconv

__all__ = ["Keep", "input_messages", "output_messages", "system_instructions", "tool_definitions"]

Keep: TypeAlias = Callable[[str], str]
"""What may be told of a text."""

_SEPARATE_SYSTEM = frozenset({BackendKind.ANTHROPIC.value})
"""Kinds of backend whose wire format has a place for the system's words beside the messages."""

_Modality: TypeAlias = Literal["image", "audio", "document"]


def input_messages(request: InferenceRequest, kind: str | None, keep: Keep) -> list[JSONObject]:
    """What the model was given to read, without what `system_instructions` tells."""
    separate = kind in _SEPARATE_SYSTEM
    return [_message(message, keep) for message in request.messages if not (separate and message.role == "system")]


def system_instructions(request: InferenceRequest, kind: str | None, keep: Keep) -> list[JSONObject]:
    """The system's words, where the backend takes them beside the messages."""
    if kind not in _SEPARATE_SYSTEM:
        return []
    texts = (message.text for message in request.messages if message.role == "system")
    return [_text(text, keep) for text in texts]


def output_messages(answer: InferenceResult, keep: Keep) -> list[JSONObject]:
    """What the model said: one message, which may have broken off."""
    reason = semconv.UNFINISHED if answer.finish_reason is None else semconv.FINISH_REASONS[answer.finish_reason]
    return [{**_message(answer.message, keep), "finish_reason": reason}]


def tool_definitions(request: InferenceRequest) -> list[JSONObject]:
    """The tools that the model might use, without their descriptions and parameters."""
    return [
        {"type": tool.type, "name": tool.type}
        if isinstance(tool, HostedTool)
        else {"type": "function", "name": tool.name}
        for tool in request.tools
    ]


def _message(message: Message, keep: Keep) -> JSONObject:
    told: dict[str, JSONValue] = {"role": message.role, "parts": _parts(message.parts, keep)}
    if message.name:
        told["name"] = message.name
    return told


def _parts(parts: Sequence[Part], keep: Keep) -> list[JSONObject]:
    return [_part(part, keep) for part in parts]


def _part(part: Part, keep: Keep) -> JSONObject:
    match part:
        case TextPart():
            return _text(part.text, keep)
        case ReasoningPart():
            return {"type": "reasoning", "content": keep(part.text)}
        case RefusalPart():
            return {"type": "refusal", "content": keep(part.text)}
        case ToolCall():
            given = part.parsed_arguments
            arguments = keep(part.arguments) if given is None else _kept(given, keep)
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": arguments}
        case ToolResultPart():
            response = keep(part.content) if isinstance(part.content, str) else _parts(part.content, keep)
            return {"type": "tool_call_response", "id": part.tool_call_id, "response": response}
        case HostedToolPart():
            call: JSONObject = {"type": part.kind, **({"status": part.status} if part.status else {})}
            return {"type": "server_tool_call", "id": part.id, "name": part.kind, "server_tool_call": call}
        case ImagePart() | AudioPart() | FilePart():
            return _media(part, keep)
        case _:
            assert_never(part)


def _media(part: ImagePart | AudioPart | FilePart, keep: Keep) -> JSONObject:
    match part:
        case ImagePart():
            return _medium("image", part.media_type, keep, url=part.url, data=part.data)
        case FilePart():
            return _medium("document", part.media_type, keep, url=part.url, file_id=part.file_id, data=part.data)
        case AudioPart():
            media_type = f"audio/{part.format}" if part.format else None
            told = _medium("audio", media_type, keep, file_id=None if part.data else part.id, data=part.data)
            return {**told, "transcript": keep(part.transcript)} if part.transcript else told


def _text(text: str, keep: Keep) -> JSONObject:
    return {"type": "text", "content": keep(text)}


def _medium(
    modality: _Modality,
    media_type: str | None,
    keep: Keep,
    *,
    url: str | None = None,
    file_id: str | None = None,
    data: bytes | None = None,
) -> JSONObject:
    about: dict[str, JSONValue] = {"modality": modality, "mime_type": media_type}
    if file_id is not None:
        return {"type": "file", **about, "file_id": file_id}
    if url is not None and not url.startswith("data:"):
        return {"type": "uri", **about, "uri": keep(url)}
    return {"type": "blob", **about, "size": len(url or data or b"")}


def _kept(value: JSONValue, keep: Keep) -> JSONValue:
    """A JSON value with every text in it passed through `keep`, names of members included."""
    match value:
        case str():
            return keep(value)
        case list() | tuple():
            return [_kept(item, keep) for item in value]
        case dict():
            return {keep(name): _kept(item, keep) for name, item in value.items()}
        case _:
            return value
