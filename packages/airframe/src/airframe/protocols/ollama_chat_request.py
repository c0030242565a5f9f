"""Our request as a body of Ollama's `/api/chat`. Source: `api/types.go` of Ollama fb30760 (August 2026), recordings."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import assert_never, cast

from airframe.errors import ErrorCategory
from airframe.protocols.backend_error import ErrorTable, Phrase
from airframe.protocols.chat_dialect import ChatDialect
from airframe.protocols.openai_chat_request import chat_tools, drop_unknown_fields
from airframe.protocols.protocol import Unsupported
from airframe.protocols.reading import JSONDict
from airframe.types.messages import (
    AudioPart,
    FilePart,
    HostedToolPart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
)
from airframe.types.request import InferenceRequest, JSONSchemaFormat, ReasoningOptions

__all__ = ["OLLAMA", "OLLAMA_ERRORS", "ollama_body", "ollama_messages"]

_C = ErrorCategory

# Ollama 0.9.3, recorded 2026-11-20; server/routes.go of fb30760. The native API has no machine codes.
OLLAMA_ERRORS = ErrorTable(
    codes=MappingProxyType({}),
    phrases=(
        Phrase(
            "page not found",
            _C.UNSUPPORTED,
            "plain text for a path that the server does not have; an unknown model is JSON",
            statuses=frozenset({404}),
        ),
        Phrase("does not support", _C.UNSUPPORTED, "400: thinking, tools or chat of this model"),
        Phrase("chatrequest.think of type bool", _C.UNSUPPORTED, "400 of 0.9.3 for a reasoning effort"),
        Phrase("must be of type", _C.INVALID_REQUEST, "500 for an option of the wrong type"),
        Phrase("invalid format", _C.INVALID_REQUEST, "500 for a format that is no schema"),
        Phrase("invalid json schema in format", _C.INVALID_REQUEST, "500, and inside streams"),
        Phrase("an error was encountered while running the model", _C.SERVER, "500, and inside streams"),
    ),
)

_OPTIONS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
)
_TOP_LEVEL = ("logprobs", "top_logprobs")

OLLAMA = ChatDialect(
    name="ollama",
    fields={name: name for name in (*_OPTIONS, *_TOP_LEVEL)},
    reasoning_field="thinking",
    errors=OLLAMA_ERRORS,
)
"""What of a request Ollama's own API knows."""

# Ollama's own words are low, medium, high and max; its /v1 route takes OpenAI's like this.
_EFFORTS: Mapping[str, str | bool] = MappingProxyType({"none": False, "minimal": "low", "xhigh": "max"})


def ollama_body(
    request: InferenceRequest,
    *,
    model: str | None,
    stream: bool,
    num_ctx: int | None,
    keep_alive: str | float | None,
    dropped: Unsupported,
) -> JSONDict:
    """The body, without `extra_params` other than their `options`. What Ollama cannot carry goes to `dropped`."""
    body: JSONDict = {"messages": ollama_messages(request.messages, dropped), "stream": stream}
    if model is not None:
        body["model"] = model
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    fields = drop_unknown_fields(request, OLLAMA, dropped)
    body |= {name: fields.pop(name) for name in _TOP_LEVEL if name in fields}
    if options := _options(request, fields, num_ctx):
        body["options"] = options
    body |= _tools(request, dropped)
    if isinstance(request.response_format, JSONSchemaFormat):
        body["format"] = request.response_format.schema
        if request.response_format.description is not None:
            dropped.drop("response_format.description", "the schema binds, and is not shown to the model")
    elif request.response_format == "json":
        body["format"] = "json"
    if request.reasoning is not None:
        body |= _think(request.reasoning, dropped)
    return body


def _options(request: InferenceRequest, fields: JSONDict, num_ctx: int | None) -> JSONDict:
    options = dict(fields)
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    if request.stop:
        options["stop"] = list(request.stop)
    if num_ctx is not None:
        options["num_ctx"] = num_ctx
    own = request.extra_params.get("options")
    return options | cast("JSONDict", own) if isinstance(own, Mapping) else options


def _tools(request: InferenceRequest, dropped: Unsupported) -> JSONDict:
    choice = request.tool_choice
    if choice == "none":
        return {}  # without tools none can be called
    if choice not in {None, "auto"}:
        dropped.drop("tool_choice", "the model decides")
    tools = chat_tools(request, dropped)
    return {"tools": tools} if tools else {}


def _think(options: ReasoningOptions, dropped: Unsupported) -> JSONDict:
    if options.budget_tokens is not None:
        dropped.drop("reasoning.budget_tokens")
    if options.summary is not None:
        dropped.drop("reasoning.summary")
    if options.effort is not None and options.enabled is not False:
        return {"think": _EFFORTS.get(options.effort, options.effort)}
    return {"think": options.enabled} if options.enabled is not None else {}


def ollama_messages(messages: Sequence[Message], dropped: Unsupported) -> list[JSONDict]:
    """The conversation. A message with several tool results becomes several messages, one a result."""
    names = {part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolCall)}
    wire: list[JSONDict] = []
    for message in messages:
        if message.name:
            dropped.drop("Message.name")
        if message.cache:
            dropped.drop("Message.cache", "it caches by itself")
        if message.role == "tool":
            wire += _tool_messages(message, names, dropped)
        else:
            wire.append(_message(message, dropped))
    return wire


def _message(message: Message, dropped: Unsupported) -> JSONDict:
    text: list[str] = []
    thinking: list[str] = []
    images: list[str] = []
    calls: list[JSONDict] = []
    for part in message.parts:
        match part:
            case TextPart():
                text.append(part.text)
            case ImagePart():
                images += _image(part, dropped)
            case ReasoningPart():
                if part.issuer in {None, OLLAMA.name} and not part.signature:
                    thinking.append(part.text)
                else:
                    dropped.drop("ReasoningPart", "only whoever issued it can read it again")
            case ToolCall():
                calls.append(_tool_call(part, dropped))
            case AudioPart() | FilePart() | RefusalPart() | ToolResultPart() | HostedToolPart():
                dropped.drop(type(part).__name__, f"in a message of role {message.role}")
            case _:
                assert_never(part)
    wire: JSONDict = {
        "role": "system" if message.role == "developer" else message.role,
        "content": "".join(text),
    }
    if thinking:
        wire["thinking"] = "".join(thinking)
    if images:
        wire["images"] = images
    if calls:
        wire["tool_calls"] = calls
    return wire


def _tool_call(call: ToolCall, dropped: Unsupported) -> JSONDict:
    arguments = call.parsed_arguments
    if arguments is None:
        dropped.drop("ToolCall.arguments", "they are no JSON object")
    function: JSONDict = {"name": call.name, "arguments": arguments or {}}
    return {"id": call.id, "function": function}


def _tool_messages(message: Message, names: Mapping[str, str], dropped: Unsupported) -> list[JSONDict]:
    wire: list[JSONDict] = []
    for part in message.parts:
        if not isinstance(part, ToolResultPart):
            dropped.drop(type(part).__name__, "in a message of role tool; use Message.tool(...)")
            continue
        if part.is_error:
            dropped.drop("ToolResultPart.is_error", "the text alone must say it")
        pieces: Sequence[Part] = (TextPart(part.content),) if isinstance(part.content, str) else part.content
        result: JSONDict = {
            "role": "tool",
            "content": "".join(piece.text for piece in pieces if isinstance(piece, TextPart)),
            "tool_call_id": part.tool_call_id,
        }
        if name := part.name or names.get(part.tool_call_id):
            result["tool_name"] = name
        images: list[str] = []
        for piece in pieces:
            if isinstance(piece, ImagePart):
                images += _image(piece, dropped)
            elif not isinstance(piece, TextPart):
                dropped.drop(type(piece).__name__, "in a tool's result")
        if images:
            result["images"] = images
        wire.append(result)
    return wire


def _image(part: ImagePart, dropped: Unsupported) -> list[str]:
    """The image as bare base64: what it is, Ollama sees for itself."""
    dropped.drop_stated(part, "detail")
    if part.data is not None:
        return [b64encode(part.data).decode()]
    head, comma, data = (part.url or "").partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return [data]
    dropped.drop("ImagePart.url", "it takes images as data")
    return []
