"""Requests that other clients were recorded to send for chat completions, said anew in airframe's vocabulary.

Recordings are found as in test_recorded_traffic.py. A recorded request counts here when all of it can be said in our
vocabulary; then the encoder has to produce that very body.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from airframe.protocols import ChatDialect, OpenAIChatProtocol
from airframe.testing.recorded import read_exchanges
from airframe.types import (
    AudioPart,
    FilePart,
    ImagePart,
    InferenceRequest,
    JSONSchemaFormat,
    Message,
    NamedTool,
    Part,
    ReasoningOptions,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolSpec,
)

FOLDER = Path(os.environ.get("AIRFRAME_EXCHANGES") or Path(__file__).parents[3] / "shared" / "wire" / "exchanges")
pytestmark = pytest.mark.skipif(
    not (FOLDER / "index.json").is_file(), reason="no recorded exchanges: AIRFRAME_EXCHANGES names their folder"
)

# How many recorded requests of each backend can be said in our vocabulary, at least.
ENOUGH = {
    "azure-openai": 45,
    "llama-server": 130,
    "mlx-lm": 15,
    "ollama": 10,
    "openai-chat": 95,
    "openai-compatible": 29,
    "openrouter": 35,
}

UNCHANGED = frozenset(
    {
        "temperature",
        "top_p",
        "seed",
        "logprobs",
        "top_logprobs",
        "parallel_tool_calls",
        "user",
        "store",
        "metadata",
        "prompt_cache_key",
    }
)
SAYS_NOTHING = {"stream": False, "n": 1}
"""Members with their defaults, which we leave out."""


class NotInOurWordsError(Exception):
    """The request holds something that our vocabulary says differently, or not at all."""


def test_recorded_requests_are_encoded_as_they_were() -> None:
    """What another client sent comes out of our encoder, member for member."""
    said: Counter[str] = Counter()
    for exchange in read_exchanges(FOLDER):
        body: dict[str, Any] = exchange.request["body"] if exchange.request["body_encoding"] == "json" else {}
        protocol = exchange.wire_format
        if not isinstance(protocol, OpenAIChatProtocol) or exchange.status != 200 or not body:
            continue
        try:
            request = Reader(protocol.dialect).request(body)
        except NotInOurWordsError:
            continue
        wire = protocol.encode(request, model=body.get("model"), stream=bool(body.get("stream")))
        assert wire.warnings == (), exchange.id
        assert meaning(json.loads(wire.body)) == meaning(body), exchange.id
        said[exchange.backend] += 1
    assert {backend: said[backend] for backend, least in ENOUGH.items() if said[backend] < least} == {}


def meaning(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without defaults, and without `stream_options`: usage we always ask for. No content is null content."""
    said = {
        name: value
        for name, value in body.items()
        if name != "stream_options" and (name not in SAYS_NOTHING or value != SAYS_NOTHING[name])
    }
    said["messages"] = [
        {name: value for name, value in message.items() if (name, value) != ("content", None)}
        for message in body.get("messages", ())
    ]
    return said


def members(value: Any, needed: Collection[str] = (), optional: Collection[str] = ()) -> dict[str, Any]:
    """The members of an object that has all of `needed` and, of others, only `optional` ones; none of them null."""
    if not isinstance(value, dict):
        raise NotInOurWordsError(f"{type(value).__name__} in place of an object")
    found = cast("dict[str, Any]", value)
    if not set(needed) <= set(found) <= {*needed, *optional} or None in found.values():
        raise NotInOurWordsError(f"an object of {sorted(found)}")
    return found


@dataclass(frozen=True)
class Reader:
    """Reads bodies of chat completions back into our vocabulary."""

    dialect: ChatDialect

    def request(self, body: Mapping[str, Any]) -> InferenceRequest:
        fields = dict(
            self.field(name, value) for name, value in meaning(body).items() if name not in {"model", "stream"}
        )
        if not fields.get("messages"):
            raise NotInOurWordsError("no messages, to see what the server says")
        return InferenceRequest(**fields)

    def field(self, name: str, value: Any) -> tuple[str, Any]:
        if name == self.dialect.max_tokens:
            return "max_tokens", value
        if name in UNCHANGED & set(self.dialect.fields):
            return name, value
        match name:
            case _ if name in self.dialect.ignored or value in ([], None):
                raise NotInOurWordsError(f"{name}, which is not heeded")
            case "messages":
                value = [self.message(message) for message in value]
            case "tools":
                value = [self.tool(tool) for tool in value]
            case "tool_choice" if isinstance(value, str) and value not in {"auto", "none", "required"}:
                raise NotInOurWordsError(f"the tool choice {value}, which is Mistral's")
            case "tool_choice" if not isinstance(value, str) and self.dialect.named_tool_choice:
                value = NamedTool(self.function(value, {"name"})["name"])
            case "response_format":
                value = self.response_format(value)
            case "reasoning_effort" if not self.dialect.reasoning_details and not self.dialect.effort_in_template:
                name, value = "reasoning", ReasoningOptions(effort=value)
            case "chat_template_kwargs" if self.dialect.thinking_switch:
                wanted = members(value, {"enable_thinking"})
                name, value = "reasoning", ReasoningOptions(enabled=wanted["enable_thinking"])
            case "tool_choice" | "stop" if isinstance(value, str) == (name == "tool_choice"):
                pass
            case _:
                raise NotInOurWordsError(name)
        return name, value

    def response_format(self, value: Any) -> Literal["json"] | JSONSchemaFormat:
        if value == {"type": "json_object"}:
            return "json"
        wanted = members(value, {"type", "json_schema"})["json_schema"]
        return JSONSchemaFormat(**members(wanted, {"name", "schema"}, {"strict"}))

    def message(self, message: Mapping[str, Any]) -> Message:
        match message.get("role"):
            case "user" | "system" as role:
                said = members(message, {"role", "content"}, {"name"})
                return Message(role, self.content(said["content"]), name=said.get("name"))
            case "assistant":
                return Message("assistant", tuple(self.parts(message)))
            case "tool":
                said = members(message, {"role", "content", "tool_call_id"})
                if not isinstance(said["content"], str):
                    raise NotInOurWordsError("a tool's result in parts")
                return Message.tool(said["tool_call_id"], said["content"])
            case role:
                raise NotInOurWordsError(f"role {role}")

    def content(self, content: Any) -> str | Sequence[Part]:
        return content if isinstance(content, str) else [self.part(part) for part in content]

    def part(self, part: Mapping[str, Any]) -> Part:
        match part.get("type"):
            case "text":
                return TextPart(members(part, {"type", "text"})["text"])
            case "image_url":
                image = members(part["image_url"], {"url"}, {"detail"})
                return ImagePart(**source(image["url"]), detail=image.get("detail"))
            case "input_audio":
                audio = members(part["input_audio"], {"data", "format"})
                return AudioPart(data=b64decode(whole(audio["data"])), format=audio["format"])
            case "file":
                file = members(part["file"], {"file_data", "filename"})
                return FilePart(**source(file["file_data"]), filename=file["filename"])
            case kind:
                raise NotInOurWordsError(f"part {kind}")

    def parts(self, message: Mapping[str, Any]) -> Iterator[Part]:
        """What an assistant said."""
        for name, value in message.items():
            match name:
                case "role":
                    pass
                case "content" if isinstance(value, str) and (value or "tool_calls" not in message):
                    yield TextPart(value)
                case "refusal":
                    yield RefusalPart(value)
                case "audio":
                    yield AudioPart(**members(value, {"id"}))
                case "tool_calls":
                    for call in value:
                        id = members(call, {"type", "id", "function"})["id"]
                        yield ToolCall(id=id, **self.function(call, {"name", "arguments"}))
                case _ if name == self.dialect.reasoning_field and not self.dialect.reasoning_details:
                    yield ReasoningPart(text=value)
                case _:
                    raise NotInOurWordsError(f"an assistant's {name}")

    def tool(self, tool: Mapping[str, Any]) -> ToolSpec:
        members(tool, {"type", "function"})
        stated = self.function(tool, {"name", "parameters"}, {"description", "strict"})
        if stated.get("description") == "":
            raise NotInOurWordsError("an empty description")
        return ToolSpec(**stated)

    def function(self, owner: Any, needed: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
        if owner.get("type") != "function":
            raise NotInOurWordsError(f"no function: {owner.get('type')}")
        return members(owner["function"], needed, optional)


def source(url: str) -> dict[str, Any]:
    """The bytes of a `data:` URL; any other URL as it is."""
    if not url.startswith("data:"):
        return {"url": url}
    media_type, _, data = url.removeprefix("data:").partition(";base64,")
    return {"data": b64decode(whole(data)), "media_type": media_type}


def whole(data: str) -> str:
    if "elided" in data:
        raise NotInOurWordsError("bytes that the recording leaves out")
    return data
