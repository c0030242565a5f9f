"""Requests for Messages that other clients were recorded to send, said anew in airframe's vocabulary.

Recordings are found as in tests/airframe/test_recorded_traffic.py. A recorded request counts here when all of it can be
said in our vocabulary; what has no word there goes through `extra_params`. Then the encoder has to produce that body.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from airframe.protocols import AnthropicMessagesProtocol
from airframe.testing.recorded import read_exchanges
from airframe.types import (
    CacheHint,
    FilePart,
    HostedTool,
    HostedToolPart,
    ImagePart,
    InferenceRequest,
    JSONSchemaFormat,
    Message,
    NamedTool,
    Part,
    ReasoningOptions,
    ReasoningPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    ToolSpec,
)

FOLDER = Path(os.environ.get("AIRFRAME_EXCHANGES") or Path(__file__).parents[4] / "shared" / "wire" / "exchanges")
pytestmark = pytest.mark.skipif(
    not (FOLDER / "index.json").is_file(), reason="no recorded exchanges: AIRFRAME_EXCHANGES names their folder"
)

# All were recorded under the older version, in which temperatures are sent.
PROTOCOL = AnthropicMessagesProtocol(version="2023-06-01")

# How many recorded requests of each backend can be said in our vocabulary, at least.
ENOUGH = {"anthropic": 200, "azure-openai": 15, "llama-server": 10}

UNCHANGED = frozenset({"max_tokens", "temperature", "top_p", "top_k", "service_tier", "metadata"})
OURS = {"auto": "auto", "any": "required", "none": "none"}
THOUGHTS: Mapping[str | None, bool] = {"adaptive": True, "disabled": False}
READ = frozenset(
    {"model", "stream", "messages", "system", "tools", "tool_choice", "stop_sequences", "thinking", "output_config"}
)
NOTHING: Sequence[object] = (None, False, "", [])
"""Values of members that might as well be missing."""


class NotInOurWordsError(Exception):
    """The request holds something that our vocabulary says differently, or not at all."""


def test_recorded_requests_are_encoded_as_they_were() -> None:
    """What another client sent comes out of our encoder, member for member."""
    said: Counter[str] = Counter()
    for exchange in read_exchanges(FOLDER):
        if exchange.surface != "messages" or exchange.status != 200:
            continue
        body: dict[str, Any] | None = exchange.request["body"]
        if not body:
            continue
        try:
            request = read(body)
        except NotInOurWordsError:
            continue
        wire = PROTOCOL.encode(request, model=body.get("model"), stream=bool(body.get("stream")))
        assert wire.warnings == (), exchange.id
        assert meaning(json.loads(wire.body)) == meaning(body), exchange.id
        said[exchange.backend] += 1
    assert {backend: said[backend] for backend, least in ENOUGH.items() if said[backend] < least} == {}


def meaning(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without members that say nothing; a lone text of the system stands as a text."""
    members: dict[str, Any] = {name: without_nothing(value) for name, value in body.items()}
    match members.get("system"):
        case [{"type": "text", "text": str(text), **rest}] if not rest:
            members["system"] = text
        case _:
            pass
    return {name: value for name, value in members.items() if value not in NOTHING}


def without_nothing(value: Any) -> Any:
    """The same of a member, but for a function's schema, in which null and false may mean something."""
    if isinstance(value, list):
        return [without_nothing(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        kept = {name: item if name == "input_schema" else without_nothing(item) for name, item in members.items()}
        return {name: item for name, item in kept.items() if item not in NOTHING}
    return value


def read(body: Mapping[str, Any]) -> InferenceRequest:
    """A body in our vocabulary."""
    if "max_tokens" not in body:
        raise NotInOurWordsError("no limit: we always send one")
    fields = {name: value for name, value in body.items() if name in UNCHANGED}
    if "tools" in body:
        fields["tools"] = [tool(entry) for entry in body["tools"]]
    if "stop_sequences" in body:
        fields["stop"] = body["stop_sequences"]
    output: Mapping[str, Any] = body.get("output_config") or {}
    if wanted := output.get("format"):
        fields["response_format"] = JSONSchemaFormat(schema=wanted["schema"])
    return InferenceRequest(
        **fields,
        **tool_choice(body.get("tool_choice") or {}),
        reasoning=reasoning(body.get("thinking") or {}, output.get("effort")),
        messages=[*system(body.get("system")), *conversation(body["messages"])],
        extra_params={name: value for name, value in body.items() if name not in READ | UNCHANGED},
    )


def tool_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if kind := choice.get("type"):
        fields["tool_choice"] = OURS[kind] if kind in OURS else NamedTool(choice["name"])
    if "disable_parallel_tool_use" in choice:
        fields["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    return fields


def reasoning(thinking: Mapping[str, Any], effort: str | None) -> ReasoningOptions:
    return ReasoningOptions(
        effort=effort,
        budget_tokens=thinking.get("budget_tokens"),
        enabled=THOUGHTS.get(thinking.get("type")),
        summary=thinking.get("display"),
    )


def conversation(turns: Sequence[Mapping[str, Any]]) -> Iterator[Message]:
    before: Message | None = None
    for entry in turns:
        message = turn(entry)
        if before and before.role == message.role and any(isinstance(part, ToolResultPart) for part in before.parts):
            raise NotInOurWordsError("results in a turn of their own: we put what follows into the same")
        before = message
        yield message


def system(prompt: str | Sequence[Mapping[str, Any]] | None) -> Iterator[Message]:
    blocks = [{"type": "text", "text": prompt}] if isinstance(prompt, str) else prompt or []
    return (Message("system", [TextPart(block["text"])], cache=cache(block)) for block in blocks)


def turn(message: Mapping[str, Any]) -> Message:
    match message:
        case {"role": "user" | "assistant" as role, "content": str(text)}:
            return Message(role, text)
        case {"role": "user" | "assistant" as role, "content": [*others, last]}:
            if any(cache(block) for block in others):
                raise NotInOurWordsError("a breakpoint inside a turn")
            return Message(role, [part(block) for block in (*others, last)], cache=cache(last))
        case _:
            raise NotInOurWordsError(f"a turn of role {message.get('role')}")


def cache(block: Mapping[str, Any]) -> CacheHint | None:
    control: Mapping[str, Any] | None = block.get("cache_control")
    if control is None:
        return None
    match control.get("ttl"):
        case "5m":
            return "5m"
        case "1h":
            return "1h"
        case _:
            return "default"


def part(block: Mapping[str, Any]) -> Part:
    match block:
        case {"type": "text", "text": str(text), **rest}:
            return TextPart(text, citations=tuple(rest.get("citations") or ()))
        case {"type": "image" | "document"}:
            return attachment(block)
        case {"type": "thinking", "thinking": text, "signature": signature}:
            return ReasoningPart(text=text, issuer="anthropic", signature=signature)
        case {"type": "redacted_thinking", "data": data}:
            return ReasoningPart(issuer="anthropic", signature=data, redacted=True)
        case {"type": "tool_use", "id": id, "name": name, "input": arguments, **rest}:
            return ToolCall(id=id, name=name, arguments=json.dumps(arguments), caller=rest.get("caller"))
        case {"type": "tool_result", "tool_use_id": id, **rest}:
            content = rest.get("content") or ""
            parts = content if isinstance(content, str) else tuple(piece(block) for block in content)
            return ToolResultPart(tool_call_id=id, content=parts, is_error=bool(rest.get("is_error")))
        case {"type": str(kind)}:
            return HostedToolPart(kind=kind, issuer="anthropic", raw=block)
        case _:
            raise NotInOurWordsError("a block without a type")


def piece(block: Mapping[str, Any]) -> TextPart | ImagePart | FilePart:
    return TextPart(block["text"]) if block.get("type") == "text" else attachment(block)


def attachment(block: Mapping[str, Any]) -> ImagePart | FilePart:
    cites = block.get("citations")
    words = {"filename": block.get("title"), "context": block.get("context"), "citations": cites and cites["enabled"]}
    match block:
        case {"type": "image", "source": {"type": "url", "url": url}}:
            return ImagePart(url=url)
        case {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}:
            return ImagePart(data=whole(data), media_type=kind)
        case {"type": "document", "source": {"type": "url", "url": url}}:
            return FilePart(url=url, **words)
        case {"type": "document", "source": {"type": "file", "file_id": id}}:
            return FilePart(file_id=id, **words)
        case {"type": "document", "source": {"type": "text", "data": text}}:
            return FilePart(data=text.encode(), media_type="text/plain", **words)
        case {"type": "document", "source": {"type": "base64", "media_type": kind, "data": data}}:
            return FilePart(data=whole(data), media_type=kind, **words)
        case _:
            raise NotInOurWordsError(f"{block.get('type')} in another form")


def whole(data: str) -> bytes:
    if "elided" in data:
        raise NotInOurWordsError("bytes that the recording leaves out")
    return b64decode(data)


def tool(entry: Mapping[str, Any]) -> ToolSpec | HostedTool:
    if kind := entry.get("type"):
        return HostedTool(kind, {name: value for name, value in entry.items() if name != "type"})
    if not set(entry) <= {"name", "description", "input_schema", "strict"}:
        raise NotInOurWordsError("a function with more than we say of one")
    return ToolSpec(
        name=entry["name"],
        description=entry.get("description") or "",
        parameters=entry["input_schema"],
        strict=entry.get("strict"),
    )
