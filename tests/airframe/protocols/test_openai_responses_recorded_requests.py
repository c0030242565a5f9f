"""Requests that other clients were recorded to send for Responses, said anew in airframe's vocabulary.

Recordings are found as in test_recorded_traffic.py. A recorded request counts here when all of it can be said in our
vocabulary; then the encoder has to produce that very body.
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

from airframe.protocols import OpenAIResponsesProtocol
from airframe.testing.recorded import read_exchanges
from airframe.types import (
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
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    ToolSpec,
)

FOLDER = Path(os.environ.get("AIRFRAME_EXCHANGES") or Path(__file__).parents[4] / "shared" / "wire" / "exchanges")
pytestmark = pytest.mark.skipif(
    not (FOLDER / "index.json").is_file(), reason="no recorded exchanges: AIRFRAME_EXCHANGES names their folder"
)

# How many recorded requests of each backend can be said in our vocabulary, at least.
ENOUGH = {"azure-openai": 31, "llama-server": 11, "openai-compatible": 4, "openai-responses": 95, "openrouter": 3}

UNCHANGED = frozenset(
    {
        "parallel_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "service_tier",
        "store",
        "temperature",
        "top_p",
        "user",
    }
)
OTHERWISE = frozenset({"include", "model", "stream"})
"""What is not said by a field: what to include, besides what follows from the request, goes into `extra_params`."""


class NotInOurWordsError(Exception):
    """The request holds something that our vocabulary says differently, or not at all."""


def test_recorded_requests_are_encoded_as_they_were() -> None:
    """What another client sent comes out of our encoder, member for member."""
    said: Counter[str] = Counter()
    for exchange in read_exchanges(FOLDER):
        body: dict[str, Any] = exchange.request["body"] if exchange.request["body_encoding"] == "json" else {}
        protocol = exchange.wire_format
        if not isinstance(protocol, OpenAIResponsesProtocol) or not body or exchange.status != 200:
            continue
        try:
            request = read(body, protocol.dialect.name)
        except NotInOurWordsError:
            continue
        wire = protocol.encode(request, model=body.get("model"), stream=bool(body.get("stream")))
        assert wire.warnings == (), exchange.id
        encoded = meaning(json.loads(wire.body))
        if "include" not in body:  # we ask for what searches found, and for thoughts that nobody keeps
            encoded.pop("include", None)
        assert encoded == meaning(body), exchange.id
        said[exchange.backend] += 1
    assert {backend: said[backend] for backend, least in ENOUGH.items() if said[backend] < least} == {}


def meaning(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without what has no meaning there: defaults, and members of items that the service made up itself.

    An id beside a thought does mean something, and is left in.
    """
    said = {
        name: value for name, value in body.items() if (name, value) != ("stream", False) and value not in ([], None)
    }
    items: object = body["input"]
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    said["input"] = [meaning_of_item(item) for item in cast("list[dict[str, Any]]", items)]
    said["tools"] = [
        {name: value for name, value in tool.items() if (name, value) != ("description", "")}
        for tool in body.get("tools") or ()
    ]
    return said


def meaning_of_item(item: Mapping[str, Any]) -> dict[str, Any]:
    match item.get("type", "message"):
        case "message":
            dull = {"type", "status", "id"}
        case "function_call":
            dull = {"status", "id"}
        case _:
            return dict(item)
    said = {name: value for name, value in item.items() if name not in dull}
    if isinstance(said.get("content"), list):
        said["content"] = [
            {name: value for name, value in part.items() if name not in {"annotations", "logprobs"}}
            for part in said["content"]
        ]
    return said


def read(body: Mapping[str, Any], issuer: str) -> InferenceRequest:
    """A recorded body in our vocabulary. Raises `NotInOurWordsError`."""
    if "elided" in json.dumps(body) or "input" not in body:
        raise NotInOurWordsError("bytes that the recording leaves out, or a question that the service keeps")
    messages = list(conversation(body["input"], issuer))
    if body.get("instructions"):
        messages.insert(0, Message("system", body["instructions"]))
    elif messages[0].role == "system":
        raise NotInOurWordsError("instructions that are said as a message")
    fields = dict(
        field(name, value)
        for name, value in body.items()
        if name not in OTHERWISE | {"input", "instructions"} and value not in ([], None)
    )
    include = {"include": body["include"]} if body.get("include") else {}
    options = fields.pop("text", {})
    return InferenceRequest(messages=messages, extra_params=include, **options, **fields)


def field(name: str, value: Any) -> tuple[str, Any]:
    match name:
        case _ if name in UNCHANGED:
            return name, value
        case "max_output_tokens":
            return "max_tokens", value
        case "tools":
            return name, [tool(item) for item in value]
        case "tool_choice":
            if isinstance(value, str):
                return name, value
            return name, NamedTool(only(value, "type", "name").get("name") or value["type"])
        case "reasoning":
            return name, ReasoningOptions(**only(value, "effort", "summary"))
        case "text":
            return name, text_options(only(value, "format", "verbosity"))
        case _:
            raise NotInOurWordsError(name)


def text_options(value: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {name: value[name] for name in ("verbosity",) if name in value}
    if wanted := value.get("format"):
        names = {"text": "text", "json_object": "json"}
        stated = dict(only(wanted, "type", "name", "schema", "strict"))
        kind = stated.pop("type")
        options["response_format"] = names.get(kind) or JSONSchemaFormat(**stated)
    return options


def tool(value: Mapping[str, Any]) -> ToolSpec | HostedTool:
    if value["type"] != "function":
        return HostedTool(value["type"], {name: item for name, item in value.items() if name != "type"})
    stated = only(value, "type", "name", "description", "parameters", "strict")
    if not {"parameters", "name"} <= set(stated) or None in stated.values():
        raise NotInOurWordsError("a function without parameters")
    return ToolSpec(**{name: item for name, item in stated.items() if name != "type"})


def only(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """`value`, which has no other members than these."""
    if not set(value) <= set(names):
        raise NotInOurWordsError(f"an object of {sorted(value)}")
    return value


def conversation(items: str | Sequence[Mapping[str, Any]], issuer: str) -> Iterator[Message]:
    """Items as messages; successive ones of the model are one turn."""
    if isinstance(items, str):
        yield Message("user", items)
        return
    turn: list[Part] = []
    for item in items:
        parts = said_by_model(item, issuer)
        if parts is not None:
            turn += parts
            continue
        if turn:
            yield Message("assistant", tuple(turn))
            turn = []
        yield said_to_model(item)
    if turn:
        yield Message("assistant", tuple(turn))


def said_by_model(item: Mapping[str, Any], issuer: str) -> list[Part] | None:
    match item.get("type", "message"):
        case "message" if item["role"] == "assistant" and not isinstance(item["content"], str):
            return [answer_part(part, item) for part in item["content"]]
        case "message" | "function_call_output":
            return None
        case "function_call":
            only(item, "type", "id", "status", "call_id", "name", "arguments")
            return [
                ToolCall(id=item["call_id"], name=item["name"], arguments=item["arguments"], item_id=item.get("id"))
            ]
        case "reasoning":
            return [ReasoningPart(issuer=issuer, signature=item.get("encrypted_content"), raw=item)]
        case kind:
            return [HostedToolPart(kind=kind, issuer=issuer, raw=item)]


def answer_part(part: Mapping[str, Any], item: Mapping[str, Any]) -> Part:
    if part["type"] == "refusal":
        return RefusalPart(part["refusal"])
    return TextPart(part["text"], item.get("phase"), item.get("id"))


def said_to_model(item: Mapping[str, Any]) -> Message:
    if item.get("type") == "function_call_output":
        output = item["output"]
        content = output if isinstance(output, str) else cast("Any", tuple(input_part(part) for part in output))
        return Message("tool", (ToolResultPart(tool_call_id=item["call_id"], content=content),))
    content = only(item, "type", "role", "content")["content"]
    return Message(item["role"], content if isinstance(content, str) else tuple(input_part(part) for part in content))


def input_part(part: Mapping[str, Any]) -> Part:
    match part["type"]:
        case "input_text":
            return TextPart(only(part, "type", "text")["text"])
        case "input_image" if "image_url" in part:
            stated = only(part, "type", "image_url", "detail")
            return ImagePart(**source(stated["image_url"]), detail=stated.get("detail"))
        case "input_file" if "file_data" in part:
            stated = only(part, "type", "file_data", "filename")
            return FilePart(**source(stated["file_data"]), filename=stated.get("filename"))
        case "input_file" if "file_url" in part:
            return FilePart(url=only(part, "type", "file_url")["file_url"])
        case kind:
            raise NotInOurWordsError(f"part {kind}")


def source(url: str) -> dict[str, Any]:
    """The bytes of a `data:` URL; any other URL as it is."""
    if not url.startswith("data:"):
        return {"url": url}
    media_type, _, data = url.removeprefix("data:").partition(";base64,")
    return {"data": b64decode(data), "media_type": media_type}
