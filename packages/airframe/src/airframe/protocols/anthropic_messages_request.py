"""Our request as a body of Anthropic's Messages.

Source: types of anthropic 2.10.0 and recorded requests (read 2026-11-20).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, assert_never

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
from airframe.types.result import InferenceWarning

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "ISSUER",
    "AnthropicVersion",
    "count_body",
    "messages_body",
]

AnthropicVersion: TypeAlias = Literal["2026-10-21", "2023-06-01"]
"""The value of the header `anthropic-version`. The newer one refuses `temperature`, `top_p` and `top_k`."""

DEFAULT_MAX_TOKENS = 16_384
"""What is asked for when a request sets no `max_tokens`, which the wire requires. A thinking budget comes on top of it.

All current models allow 64,000 or more, and the vendor's SDK wants answers above 21,333 tokens streamed (`3600 *
max_tokens / 128000` seconds beyond ten minutes; anthropic 2.10.0).
"""

ISSUER = "anthropic"

_SAMPLING_FIELDS = ("temperature", "top_p", "top_k")
_UNKNOWN_FIELDS = (
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "logprobs",
    "top_logprobs",
    "verbosity",
    "prompt_cache_key",
    "previous_response_id",
    "store",
)

# Undated names -> the newest dated type in anthropic 2.10.0.
_NEWEST_TOOLS: Mapping[str, str] = MappingProxyType(
    {
        "bash": "bash_20250124",
        "browser_toolset": "browser_toolset_20260801",
        "code_execution": "code_execution_20260521",
        "computer_toolset": "computer_toolset_20260801",
        "memory": "memory_20250818",
        "text_editor": "text_editor_20250728",
        "tool_search_tool_bm25": "tool_search_tool_bm25_20251119",
        "tool_search_tool_regex": "tool_search_tool_regex_20251119",
        "web_fetch": "web_fetch_20260318",
        "web_search": "web_search_20260318",
    }
)
# A hosted tool's required `name` is its type without the date, but for these.
_TOOL_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "text_editor": "str_replace_based_edit_tool",
        "text_editor_20241022": "str_replace_editor",
        "text_editor_20250124": "str_replace_editor",
    }
)
_DATE = re.compile(r"_\d{8}$")

# What `/v1/messages/count_tokens` takes, beta fields included; any other field is an error there.
_COUNTED_FIELDS = frozenset(
    {
        "cache_control",
        "compaction",
        "context_management",
        "mcp_servers",
        "messages",
        "model",
        "output_config",
        "speed",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")
_DATA_URL = re.compile(r"data:(?P<media_type>[^;,]+);base64,(?P<data>.*)", re.DOTALL)

Turn: TypeAlias = Literal["user", "assistant"]


def messages_body(
    request: InferenceRequest,
    *,
    model: str | None,
    stream: bool,
    version: AnthropicVersion,
    default_max_tokens: int,
    dropped: Unsupported,
) -> JSONDict:
    """The body, without `extra_params`. What the format cannot carry goes to `dropped`."""
    body: JSONDict = {}
    if model is not None:
        body["model"] = model
    body["max_tokens"] = _max_tokens(request, default_max_tokens)
    if system := _system(request.messages, dropped):
        body["system"] = system
    body["messages"] = _turns(request.messages, dropped)
    if stream:
        body["stream"] = True
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    body |= _sampling(request, version, dropped)
    body |= _tools(request)
    body |= _thinking(request.reasoning, dropped)
    if output_config := _output_config(request, dropped):
        body["output_config"] = output_config
    if metadata := _metadata(request, dropped):
        body["metadata"] = metadata
    if request.service_tier is not None:
        body["service_tier"] = request.service_tier
    for name in _UNKNOWN_FIELDS:
        if getattr(request, name) is not None:
            dropped.drop(name)
    return body


def count_body(body: JSONDict) -> JSONDict:
    """What of a request's body is sent to have its tokens counted."""
    return {name: value for name, value in body.items() if name in _COUNTED_FIELDS}


# -- the request's fields


def _max_tokens(request: InferenceRequest, default: int) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    budget = request.reasoning.budget_tokens if request.reasoning else None
    return default + (budget or 0)


def _sampling(request: InferenceRequest, version: AnthropicVersion, dropped: Unsupported) -> JSONDict:
    body: JSONDict = {}
    for name in _SAMPLING_FIELDS:
        value: object = getattr(request, name)
        if value is None:
            continue
        if version == "2023-06-01":
            body[name] = value
        else:
            dropped.drop(name, f"API version {version} refuses it; 2023-06-01 takes it for older models")
    return body


def _tools(request: InferenceRequest) -> JSONDict:
    body: JSONDict = {}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    choice: JSONDict = {}
    match request.tool_choice:
        case None:
            # The choice is where parallel calls are forbidden.
            if request.tools and request.parallel_tool_calls is not None:
                choice["type"] = "auto"
        case "auto" | "none":
            choice["type"] = request.tool_choice
        case "required":
            choice["type"] = "any"
        case NamedTool(name=name):
            choice |= {"type": "tool", "name": name}
        case _:
            assert_never(request.tool_choice)
    if choice:
        if request.parallel_tool_calls is not None and choice["type"] != "none":
            choice["disable_parallel_tool_use"] = not request.parallel_tool_calls
        body["tool_choice"] = choice
    return body


def _tool(tool: ToolSpec | HostedTool) -> JSONDict:
    if isinstance(tool, HostedTool):
        kind = _NEWEST_TOOLS.get(tool.type, tool.type)
        name = _DATE.sub("", kind)
        hosted: JSONDict = {"type": kind}
        if not name.endswith("_toolset"):
            hosted["name"] = _TOOL_NAMES.get(kind) or _TOOL_NAMES.get(name, name)
        return hosted | dict(tool.options)
    wire: JSONDict = {"name": tool.name, "input_schema": tool.parameters}
    if tool.description:
        wire["description"] = tool.description
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return wire | dict(tool.options)


def _thinking(options: ReasoningOptions | None, dropped: Unsupported) -> JSONDict:
    """`thinking`. The wire's words for `summary` are `summarized` and `omitted`; OpenAI's mean the former."""
    if options is None:
        return {}
    thinking: JSONDict = {}
    if options.enabled is False:
        for name in ("budget_tokens", "summary"):
            if getattr(options, name) is not None:
                dropped.drop(f"reasoning.{name}", "reasoning is switched off")
        thinking["type"] = "disabled"
    elif options.budget_tokens is not None:
        thinking |= {"type": "enabled", "budget_tokens": options.budget_tokens}
    elif options.enabled or options.summary is not None:
        thinking["type"] = "adaptive"
    if not thinking:
        return {}
    if options.summary is not None and options.enabled is not False:
        thinking["display"] = "omitted" if options.summary == "omitted" else "summarized"
    return {"thinking": thinking}


def _output_config(request: InferenceRequest, dropped: Unsupported) -> JSONDict:
    config: JSONDict = {}
    if request.reasoning and request.reasoning.effort is not None:
        config["effort"] = request.reasoning.effort
    match request.response_format:
        case None | "text":
            pass
        case "json":
            dropped.drop("response_format='json'", "it takes a schema; give a JSONSchemaFormat")
        case JSONSchemaFormat() as wanted:
            config["format"] = {"type": "json_schema", "schema": wanted.schema}
            if wanted.strict is False:
                dropped.drop("response_format.strict=False", "a schema always binds")
            if wanted.description is not None:
                dropped.drop("response_format.description")
        case _:
            assert_never(request.response_format)
    return config


def _metadata(request: InferenceRequest, dropped: Unsupported) -> JSONDict:
    given = dict(request.metadata or {})
    user = given.pop("user_id", None)
    if given:
        dropped.drop("metadata", "of all keys it knows only user_id")
    user = user if request.user is None else request.user
    return {} if user is None else {"user_id": user}


# -- the conversation


@dataclass(slots=True)
class _Turn:
    role: Turn
    content: str | list[JSONDict]


def _system(messages: Sequence[Message], dropped: Unsupported) -> str | list[JSONDict]:
    """The words of system and developer messages, from wherever they stand."""
    blocks: list[JSONDict] = []
    talking = False
    for position, message in enumerate(messages):
        if message.role not in {"system", "developer"}:
            talking = True
            continue
        if talking:
            dropped.warnings.append(
                InferenceWarning(f"messages[{position}]", f"{dropped.format} has one system prompt; it was put there")
            )
        own: list[JSONDict] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                own += _text(part.text)
            else:
                dropped.drop(type(part).__name__, f"in a message of role {message.role}")
        _mark_for_caching(message, own, dropped)
        blocks += own
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


def _turns(messages: Sequence[Message], dropped: Unsupported) -> list[JSONDict]:
    """The conversation. The results of the tools stand in one turn, before everything else the user says in it."""
    turns: list[_Turn] = []
    for message in messages:
        if message.role in {"system", "developer"}:
            continue
        if message.name:
            dropped.drop("Message.name")
        role: Turn = "assistant" if message.role == "assistant" else "user"
        content = _content(message, dropped)
        last = turns[-1] if turns else None
        if last and last.role == role == "user" and (_holds_results(last.content) or _holds_results(content)):
            last.content = _results_first([*_as_blocks(last.content), *_as_blocks(content)])
        elif content or isinstance(message.content, str):
            turns.append(_Turn(role, content))
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _content(message: Message, dropped: Unsupported) -> str | list[JSONDict]:
    if isinstance(message.content, str) and message.cache is None and message.role != "tool":
        return message.content
    blocks = [block for part in message.parts for block in _blocks(part, message.role, dropped)]
    _mark_for_caching(message, blocks, dropped)
    return _results_first(blocks)


def _as_blocks(content: str | list[JSONDict]) -> list[JSONDict]:
    return _text(content) if isinstance(content, str) else content


def _holds_results(content: str | list[JSONDict]) -> bool:
    return not isinstance(content, str) and any(block["type"] == "tool_result" for block in content)


def _results_first(blocks: list[JSONDict]) -> list[JSONDict]:
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")


def _mark_for_caching(message: Message, blocks: list[JSONDict], dropped: Unsupported) -> None:
    """Set the breakpoint at the message's last block that can hold one: thinking cannot."""
    if message.cache is None:
        return
    last = next((block for block in reversed(blocks) if block["type"] not in {"thinking", "redacted_thinking"}), None)
    if last is None:
        dropped.drop("Message.cache", "nothing in the message can be marked")
        return
    control: JSONDict = {"type": "ephemeral"}
    if message.cache in {"5m", "1h"}:
        control["ttl"] = message.cache
    elif message.cache != "default":
        dropped.drop(f"Message.cache={message.cache!r}", "the times are 5m and 1h; the backend's default was taken")
    last["cache_control"] = control


def _blocks(part: Part, role: str, dropped: Unsupported) -> list[JSONDict]:
    match part:
        case TextPart() if part.citations and role == "assistant":
            return [{"type": "text", "text": part.text, "citations": list(part.citations)}]
        case TextPart() | RefusalPart():
            return _text(part.text)
        case ImagePart() | FilePart() if role != "assistant":
            return [_attachment(part, dropped)]
        case ToolResultPart() if role != "assistant":
            return [_tool_result(part, dropped)]
        case ToolCall() if role == "assistant":
            return [_tool_use(part, dropped)]
        case ReasoningPart() if role == "assistant":
            return _thought(part, dropped)
        case HostedToolPart():
            if part.issuer == ISSUER and part.raw:
                return [dict(part.raw)]
            dropped.drop("HostedToolPart", "only whoever issued it can read it again")
        case ImagePart() | FilePart() | ToolResultPart() | ToolCall() | ReasoningPart() | AudioPart():
            dropped.drop(type(part).__name__, f"in a message of role {role}")
        case _:
            assert_never(part)
    return []


def _text(text: str) -> list[JSONDict]:
    """A block of text; the API refuses an empty one."""
    return [{"type": "text", "text": text}] if text else []


def _thought(part: ReasoningPart, dropped: Unsupported) -> list[JSONDict]:
    if part.issuer != ISSUER:
        dropped.drop("ReasoningPart", "only whoever issued it can read it again")
    elif part.signature is None:
        dropped.drop("ReasoningPart", "it was cut off before its signature came")
    elif part.redacted:
        return [{"type": "redacted_thinking", "data": part.signature}]
    else:
        return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]
    return []


def _tool_use(call: ToolCall, dropped: Unsupported) -> JSONDict:
    arguments: object = call.parsed_arguments
    if arguments is None:
        # The wire takes objects only. The vendor's own advice (fine-grained tool streaming, read 2026-11-20).
        dropped.drop("ToolCall.arguments", "they are no JSON object; their text was wrapped in one")
        arguments = {"INVALID_JSON": call.arguments}
    wire: JSONDict = {"type": "tool_use", "id": _tool_id(call.id), "name": call.name, "input": arguments}
    if call.caller is not None:
        wire["caller"] = call.caller
    return wire


def _tool_result(part: ToolResultPart, dropped: Unsupported) -> JSONDict:
    wire: JSONDict = {"type": "tool_result", "tool_use_id": _tool_id(part.tool_call_id)}
    if isinstance(part.content, str):
        wire["content"] = part.content
    else:
        blocks: list[JSONDict] = []
        for piece in part.content:
            blocks += _text(piece.text) if isinstance(piece, TextPart) else [_attachment(piece, dropped)]
        wire["content"] = blocks
    if part.is_error:
        wire["is_error"] = True
    return wire


def _tool_id(id: str) -> str:
    """The API refuses ids with other characters than these, such as some of another vendor's calls."""
    return _NOT_IN_IDS.sub("_", id)


def _attachment(part: ImagePart | FilePart, dropped: Unsupported) -> JSONDict:
    if isinstance(part, ImagePart):
        dropped.drop_stated(part, "detail")
        return {"type": "image", "source": _source(part.url, part.data, part.media_type)}
    if part.file_id is not None:
        source: JSONDict = {"type": "file", "file_id": part.file_id}
        if part.media_type and part.media_type.startswith("image/"):
            return {"type": "image", "source": source}
    elif part.data is not None and part.media_type and part.media_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": part.data.decode("utf-8", "replace")}
    else:
        source = _source(part.url, part.data, part.media_type or "application/pdf")
    document: JSONDict = {"type": "document", "source": source}
    if part.filename:
        document["title"] = part.filename
    if part.context:
        document["context"] = part.context
    if part.citations is not None:
        document["citations"] = {"enabled": part.citations}
    return document


def _source(url: str | None, data: bytes | None, media_type: str | None) -> JSONDict:
    if url is None:
        return {"type": "base64", "media_type": media_type, "data": b64encode(data or b"").decode()}
    if inline := _DATA_URL.fullmatch(url):
        return {"type": "base64", **inline.groupdict()}
    return {"type": "url", "url": url}
