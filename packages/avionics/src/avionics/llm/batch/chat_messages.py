"""Messages as OpenAI's chat completions write them. Source: `types/chat` of openai 3.51.0 (read 2026-11-20)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

from airframe.types import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
)
from avionics.llm.batch.json_place import Place

__all__ = ["read_message"]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_COMMON = frozenset({"role", "content", "name"})
_OWN = MappingProxyType(
    {
        "assistant": frozenset({"tool_calls", "refusal", "audio", "reasoning_content"}),
        "tool": frozenset({"tool_call_id"}),
    }
)


def read_message(message: Place) -> Message:
    """The message. Raises `LLMInvalidRequestError` that names the place of what cannot be read."""
    role = message.need("role")
    if role.text() not in _ROLES:
        raise role.refused(f"one of {', '.join(_ROLES)}")
    message.only(_COMMON | _OWN.get(role.text(), frozenset[str]()))
    if role.value == "tool":
        return _tool_message(message)
    content = message.get("content")
    own = list(_own_parts(message)) if role.value == "assistant" else []
    name = message.get("name")
    return Message(
        cast("Any", role.value),
        content.text() if content and isinstance(content.value, str) and not own else [*_content(content), *own],
        name=name.text() if name else None,
    )


def _tool_message(message: Place) -> Message:
    content = message.need("content")
    said = content.value
    result = said if isinstance(said, str) else "".join(_text(part).text for part in content.items())
    name = message.get("name")
    answer = ToolResultPart(
        tool_call_id=message.need("tool_call_id").text(), content=result, name=name.text() if name else None
    )
    return Message("tool", (answer,))


def _own_parts(message: Place) -> Iterator[Part]:
    """What an assistant's message holds beside its content."""
    if thought := message.get("reasoning_content"):
        yield ReasoningPart(text=thought.text())
    if refusal := message.get("refusal"):
        yield RefusalPart(refusal.text())
    if spoken := message.get("audio"):
        yield AudioPart(id=spoken.need("id").text())
    if calls := message.get("tool_calls"):
        for call in calls.items():
            function = call.need("function")
            yield ToolCall(
                id=call.need("id").text(),
                name=function.need("name").text(),
                arguments=function.need("arguments").text(),
            )


def _content(content: Place | None) -> Iterator[Part]:
    if content is None:
        return
    if isinstance(content.value, str):
        yield TextPart(content.value)
        return
    for part in content.items():
        kind = part.need("type")
        read = _PARTS.get(kind.text())
        if read is None:
            raise kind.refused(f"one of {', '.join(_PARTS)}")
        yield read(part)


def _text(part: Place) -> TextPart:
    return TextPart(part.need("text").text())


def _refusal(part: Place) -> RefusalPart:
    return RefusalPart(part.need("refusal").text())


def _image(part: Place) -> ImagePart:
    image = part.need("image_url")
    url, detail = image.need("url"), image.get("detail")
    depth = cast("Any", detail.text() if detail else None)  # the backend says which there are
    if not url.text().startswith("data:"):
        return ImagePart(url=url.text(), detail=depth)
    media_type, data = _data_url(url)
    return ImagePart(data=data, media_type=media_type, detail=depth)


def _audio(part: Place) -> AudioPart:
    audio = part.need("input_audio")
    return AudioPart(data=_base64(audio.need("data")), format=audio.need("format").text())


def _file(part: Place) -> FilePart:
    file = part.need("file")
    filename, id = file.get("filename"), file.get("file_id")
    name = filename.text() if filename else None
    if id:
        return FilePart(file_id=id.text(), filename=name)
    media_type, data = _data_url(file.need("file_data"))
    return FilePart(data=data, media_type=media_type, filename=name)


_PARTS: Mapping[str, Callable[[Place], Part]] = MappingProxyType(
    {"text": _text, "image_url": _image, "input_audio": _audio, "file": _file, "refusal": _refusal}
)


def _data_url(place: Place) -> tuple[str, bytes]:
    """Media type and bytes of a `data:` URL (RFC 2397)."""
    head, comma, data = place.text().partition(",")
    media_type, mark, _ = head.removeprefix("data:").partition(";base64")
    if not (head.startswith("data:") and comma and mark and media_type):
        raise place.refused("a URL, or data such as 'data:image/png;base64,...'")
    return media_type, _base64(Place(place.name, data))


def _base64(place: Place) -> bytes:
    try:
        return b64decode(place.text(), validate=True)
    except binascii.Error:
        raise place.refused("base64") from None
