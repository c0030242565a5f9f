"""Our request as a body of OpenAI's chat completions. Source: `types/chat` of openai 3.51.0 (read 2026-11-20)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, assert_never

from airframe.protocols.chat_dialect import ChatDialect
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
from airframe.types.request import HostedTool, InferenceRequest, JSONSchemaFormat, NamedTool, ReasoningOptions, ToolSpec

__all__ = ["NamesFields", "chat_body", "chat_messages", "chat_tools", "data_url", "drop_unknown_fields", "named_schema"]

# Every optional field that is sent, if at all, under one name and unchanged.
_PLAIN_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
    "verbosity",
    "service_tier",
    "prompt_cache_key",
    "metadata",
    "user",
    "previous_response_id",
    "store",
)


def chat_body(
    request: InferenceRequest, *, model: str | None, stream: bool, dialect: ChatDialect, dropped: Unsupported
) -> JSONDict:
    """The body, without `extra_params`. What the dialect cannot carry goes to `dropped`."""
    body: JSONDict = {"messages": chat_messages(request.messages, dialect, dropped)}
    if model is not None:
        body["model"] = model
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    body |= drop_unknown_fields(request, dialect, dropped)
    if request.max_tokens is not None:
        body[dialect.max_tokens] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    body |= _tools(request, dialect, dropped)
    if response_format := _response_format(request, dialect):
        if "response_format" in dialect.ignored:
            dropped.drop("response_format", "the server ignores it")
        else:
            body["response_format"] = response_format
    if request.reasoning is not None:
        body |= _reasoning(request.reasoning, dialect, dropped)
    return body


class NamesFields(Protocol):
    """A dialect: it says how fields of `InferenceRequest` are called on the wire."""

    @property
    def fields(self) -> Mapping[str, str]: ...


def drop_unknown_fields(
    request: InferenceRequest, dialect: NamesFields, dropped: Unsupported, *, said_elsewhere: Collection[str] = ()
) -> JSONDict:
    """The optional fields under the dialect's names. `said_elsewhere`: those that the caller sends by itself."""
    body: JSONDict = {}
    for name in _PLAIN_FIELDS:
        value: object = getattr(request, name)
        if value is None or name in said_elsewhere:
            continue
        if wire_name := dialect.fields.get(name):
            body[wire_name] = value
        else:
            dropped.drop(name)
    return body


def _tools(request: InferenceRequest, dialect: ChatDialect, dropped: Unsupported) -> JSONDict:
    choice = request.tool_choice
    heeded = "tool_choice" not in dialect.ignored
    if choice == "none" and not heeded:
        return {}  # without tools none can be called
    if isinstance(choice, NamedTool) and heeded and not dialect.named_tool_choice:
        only = [tool for tool in request.tools if isinstance(tool, ToolSpec) and tool.name == choice.name]
        request, choice = replace(request, tools=only), "required"
    body: JSONDict = {}
    if tools := chat_tools(request, dropped):
        body["tools"] = tools
    if isinstance(choice, NamedTool) and heeded:
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif isinstance(choice, str) and heeded:
        body["tool_choice"] = choice
    elif choice is not None and choice != "auto":
        dropped.drop("tool_choice", "the model decides")
    return body


def chat_tools(request: InferenceRequest, dropped: Unsupported) -> list[JSONDict]:
    """The tools, as functions."""
    tools: list[JSONDict] = []
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            dropped.drop(f"tools[{tool.type}]", "it knows functions only")
            continue
        function: JSONDict = {"name": tool.name, "parameters": tool.parameters}
        if tool.description:
            function["description"] = tool.description
        if tool.strict is not None:
            function["strict"] = tool.strict
        tools.append({"type": "function", "function": function, **tool.options})
    return tools


def chat_messages(messages: Sequence[Message], dialect: ChatDialect, dropped: Unsupported) -> list[JSONDict]:
    """The conversation. A message with several tool results becomes several messages, one a result."""
    wire: list[JSONDict] = []
    for message in messages:
        if message.role == "tool":
            made = _tool_messages(message, dropped)
        elif message.role == "assistant":
            made = [_assistant_message(message, dialect, dropped)]
        else:
            role = "system" if message.role == "developer" and not dialect.developer_role else message.role
            made = [_named(message, {"role": role, "content": _content(message, dropped)})]
        mark = dialect.cache_mark
        if message.cache and not (made and mark and mark.put(made[-1], message.cache)):
            dropped.drop("Message.cache", "it caches by itself, or not at all")
        wire += made
    return wire


def data_url(data: bytes, media_type: str) -> str:
    """Bytes as a `data:` URL (RFC 2397)."""
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def _named(message: Message, wire: JSONDict) -> JSONDict:
    if message.name:
        wire["name"] = message.name
    return wire


def _content(message: Message, dropped: Unsupported) -> str | list[JSONDict]:
    if isinstance(message.content, str):
        return message.content
    parts = [wire for part in message.content if (wire := _input_part(part, message.role, dropped)) is not None]
    return parts or ""  # an empty list is refused


def _input_part(part: Part, role: str, dropped: Unsupported) -> JSONDict | None:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            url = part.url if part.url is not None else data_url(part.data or b"", part.media_type or "")
            image: JSONDict = {"url": url}
            if part.detail:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case AudioPart() if part.data and part.format:
            return {
                "type": "input_audio",
                "input_audio": {"data": b64encode(part.data).decode(), "format": part.format},
            }
        case FilePart():
            return _file_part(part, dropped)
        case AudioPart() | ReasoningPart() | RefusalPart() | ToolCall() | ToolResultPart() | HostedToolPart():
            dropped.drop(type(part).__name__, f"in a message of role {role}")
            return None
        case _:
            assert_never(part)


def _file_part(part: FilePart, dropped: Unsupported) -> JSONDict | None:
    if part.url is not None:
        dropped.drop("FilePart.url", "chat completions take documents as bytes or by file_id")
        return None
    dropped.drop_stated(part, "context", "citations")
    file: JSONDict = {}
    if part.file_id is not None:
        file["file_id"] = part.file_id
    else:
        file["file_data"] = data_url(part.data or b"", part.media_type or "application/octet-stream")
    if part.filename:
        file["filename"] = part.filename
    return {"type": "file", "file": file}


def _assistant_message(message: Message, dialect: ChatDialect, dropped: Unsupported) -> JSONDict:
    text: list[str] = []
    thoughts: list[ReasoningPart] = []
    refusal: list[str] = []
    calls: list[JSONDict] = []
    spoken: str | None = None
    for part in message.parts:
        match part:
            case TextPart():
                text.append(part.text)
            case RefusalPart():
                refusal.append(part.text)
            case ToolCall():
                function: JSONDict = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": part.id, "type": "function", "function": function})
            case ReasoningPart():
                thoughts.append(part)
            case AudioPart(id=str(id)) if dialect.spoken_answers:
                spoken = id
            case AudioPart(transcript=str(transcript)):
                text.append(transcript)
            case ImagePart() | AudioPart() | FilePart() | ToolResultPart() | HostedToolPart():
                dropped.drop(type(part).__name__, "in a message of role assistant")
            case _:
                assert_never(part)
    said = "".join(text) if text or not (calls or refusal) else None
    wire: JSONDict = {"role": "assistant"}
    if text or spoken is None:
        wire["content"] = said
    others: JSONDict = {
        "audio": spoken and {"id": spoken},
        "refusal": "".join(refusal),
        "tool_calls": calls,
        **_thoughts(thoughts, dialect, dropped),
    }
    return _named(message, wire | {name: value for name, value in others.items() if value})


def _thoughts(parts: Sequence[ReasoningPart], dialect: ChatDialect, dropped: Unsupported) -> JSONDict:
    """What the model thought, as the server wants it back: its own blocks, or else plain text."""
    blocks: list[object] = []
    text: list[str] = []
    for part in parts:
        own = part.issuer == dialect.name
        if dialect.reasoning_details and own and isinstance(part.raw, Sequence) and not isinstance(part.raw, str):
            blocks += part.raw
        elif dialect.reasoning_field and (own or part.issuer is None) and not part.signature:
            text.append(part.text)
        else:
            dropped.drop("ReasoningPart", "only whoever issued it can read it again")
    if blocks:  # they hold the text too
        return {"reasoning_details": blocks}
    return {dialect.reasoning_field: "".join(text)} if text and dialect.reasoning_field else {}


def _tool_messages(message: Message, dropped: Unsupported) -> list[JSONDict]:
    wire: list[JSONDict] = []
    for part in message.parts:
        if not isinstance(part, ToolResultPart):
            dropped.drop(type(part).__name__, "in a message of role tool; use Message.tool(...)")
            continue
        if part.is_error:
            dropped.drop("ToolResultPart.is_error", "the text alone must say it")
        if isinstance(part.content, str):
            text = part.content
        else:
            text = "".join(piece.text for piece in part.content if isinstance(piece, TextPart))
            for piece in part.content:
                if not isinstance(piece, TextPart):
                    dropped.drop(type(piece).__name__, "in a tool's result")
        wire.append({"role": "tool", "tool_call_id": part.tool_call_id, "content": text})
    return wire


def _response_format(request: InferenceRequest, dialect: ChatDialect) -> JSONDict | None:
    match request.response_format:
        case None:
            return None
        case "text":
            return {"type": "text"}
        case "json":
            if dialect.json_object:
                return {"type": "json_object"}
            return {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
        case JSONSchemaFormat() as wanted:
            return {"type": "json_schema", "json_schema": named_schema(wanted)}
        case _:
            assert_never(request.response_format)


def named_schema(wanted: JSONSchemaFormat) -> JSONDict:
    """The format as OpenAI words it, in both of its APIs."""
    schema: JSONDict = {"name": wanted.name, "schema": wanted.schema}
    if wanted.description is not None:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return schema


def _reasoning(options: ReasoningOptions, dialect: ChatDialect, dropped: Unsupported) -> JSONDict:
    if dialect.reasoning_details:
        return {"reasoning": _reasoning_object(options, dropped)}
    body: JSONDict = {}
    template: JSONDict = {}
    if options.effort is not None:
        (template if dialect.effort_in_template else body)["reasoning_effort"] = options.effort
    if options.enabled is not None:
        if dialect.thinking_switch:
            template["enable_thinking"] = options.enabled
        else:
            dropped.drop("reasoning.enabled")
    if template:
        body["chat_template_kwargs"] = template
    if options.budget_tokens is not None:
        dropped.drop("reasoning.budget_tokens")
    if options.summary is not None:
        dropped.drop("reasoning.summary")
    return body


def _reasoning_object(options: ReasoningOptions, dropped: Unsupported) -> JSONDict:
    if options.summary is not None:
        dropped.drop("reasoning.summary")
    wanted = {"effort": options.effort, "max_tokens": options.budget_tokens, "enabled": options.enabled}
    return {name: value for name, value in wanted.items() if value is not None}
