"""Messages as JSON and back: every part with all its fields, so that a saved conversation goes on as it was.

A part is an object with its `type`; fields that have their default are left out, and bytes are base64.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from airframe.errors import InvalidRequestError
from airframe.types import (
    AudioPart,
    FilePart,
    HostedToolPart,
    ImagePart,
    JSONObject,
    JSONValue,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    SearchHit,
    TextPart,
    ToolCall,
    ToolResultPart,
)

__all__ = ["message_from_json", "message_to_json"]

_Record: TypeAlias = Part | SearchHit

_PARTS: Mapping[str, type[Part]] = MappingProxyType(
    {
        "text": TextPart,
        "image": ImagePart,
        "audio": AudioPart,
        "file": FilePart,
        "reasoning": ReasoningPart,
        "refusal": RefusalPart,
        "tool_call": ToolCall,
        "tool_result": ToolResultPart,
        "hosted_tool": HostedToolPart,
    }
)
_TYPES: Mapping[type[Part], str] = MappingProxyType({part: name for name, part in _PARTS.items()})


def message_to_json(message: Message) -> JSONObject:
    """The message as a JSON object."""
    content = message.content if isinstance(message.content, str) else [_part_to_json(part) for part in message.parts]
    optional = {"name": message.name, "cache": message.cache}
    return {"role": message.role, "content": content, **{name: text for name, text in optional.items() if text}}


def message_from_json(document: JSONObject) -> Message:
    """The message that was made into `document`. Raises `InvalidRequestError` for what is none."""
    content = document.get("content", "")
    try:
        return Message(
            cast("Any", document["role"]),  # Message checks its role and content
            content if isinstance(content, str) else _parts_from_json(content),
            name=cast("str | None", document.get("name")),
            cache=cast("Any", document.get("cache")),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidRequestError):
            raise
        raise InvalidRequestError(f"not a saved message: {type(error).__name__}: {error}") from error


def _part_to_json(part: Part) -> JSONObject:
    return {"type": _TYPES[type(part)], **_record_to_json(part)}


def _record_to_json(record: _Record) -> JSONObject:
    values = {item.name: getattr(record, item.name) for item in fields(record)}
    return {item.name: _to_json(values[item.name]) for item in fields(record) if values[item.name] != _default(item)}


def _to_json(value: object) -> JSONValue:
    match value:
        case bytes():
            return b64encode(value).decode()
        case SearchHit():
            return _record_to_json(value)
        case TextPart() | ImagePart() | FilePart():  # inside the result of a tool
            return _part_to_json(value)
        case list() | tuple():
            return [_to_json(item) for item in cast("Sequence[object]", value)]
        case _:
            return cast("JSONValue", value)  # the wire's own values


def _parts_from_json(documents: JSONValue) -> tuple[Part, ...]:
    return tuple(_part_from_json(document) for document in cast("Sequence[JSONObject]", documents))


def _part_from_json(document: JSONObject) -> Part:
    values: dict[str, Any] = dict(document)
    part = _PARTS[values.pop("type")]
    if isinstance(values.get("data"), str):
        values["data"] = b64decode(values["data"], validate=True)
    if part is ToolResultPart and not isinstance(values.get("content", ""), str):
        values["content"] = _parts_from_json(values["content"])
    if part is HostedToolPart and "hits" in values:
        values["hits"] = tuple(SearchHit(**hit) for hit in values["hits"])
    return part(**values)


def _default(item: Field[Any]) -> object:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default
