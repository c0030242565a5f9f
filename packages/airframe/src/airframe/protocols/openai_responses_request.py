"""Our request as a body of OpenAI's Responses. Source: `types/responses` of openai 3.51.0 (read 2026-11-20).

A conversation becomes items. The system messages in front become `instructions`, which hold for this answer alone and
so are not said twice when a conversation goes on by `previous_response_id`; later ones stay where they are.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import assert_never, cast

from airframe.protocols.openai_chat_request import data_url, drop_unknown_fields, named_schema
from airframe.protocols.protocol import Unsupported
from airframe.protocols.reading import JSONDict
from airframe.protocols.responses_dialect import ResponsesDialect
from airframe.types.messages import (
    AudioPart,
    FilePart,
    HostedToolPart,
    ImagePart,
    Message,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
)
from airframe.types.request import HostedTool, InferenceRequest, JSONSchemaFormat, NamedTool, ToolSpec

__all__ = ["responses_body"]


def responses_body(
    request: InferenceRequest, *, model: str | None, stream: bool, dialect: ResponsesDialect, dropped: Unsupported
) -> JSONDict:
    """The body, without `extra_params`. What the format cannot carry goes to `dropped`."""
    body: JSONDict = {}
    if model is not None:
        body["model"] = model
    instructions, messages = _split_instructions(request.messages)
    if instructions:
        body["instructions"] = instructions
    body["input"] = _Items(dialect, dropped).of(messages)
    if stream:
        body["stream"] = True
    body |= drop_unknown_fields(request, dialect, dropped, said_elsewhere=("logprobs", "verbosity"))
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    if request.stop:
        dropped.drop("stop")
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request)
    if text := _text_options(request):
        body["text"] = text
    if reasoning := _reasoning_options(request, dropped):
        body["reasoning"] = reasoning
    if include := _include(request, dialect):
        body["include"] = include
    return body


def _split_instructions(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    count = 0
    for message in messages:
        # A marked message has to be an item, as `instructions` has no place for the mark.
        if message.role != "system" or message.cache or not all(isinstance(part, TextPart) for part in message.parts):
            break
        count += 1
    if count == len(messages):  # something has to be the input
        count = 0
    return "\n\n".join(message.text for message in messages[:count]), messages[count:]


def _tool(tool: ToolSpec | HostedTool) -> JSONDict:
    if isinstance(tool, HostedTool):
        return {"type": tool.type, **tool.options}
    wire: JSONDict = {"type": "function", "name": tool.name, "parameters": tool.parameters}
    if tool.description:
        wire["description"] = tool.description
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return wire | dict(tool.options)


def _tool_choice(request: InferenceRequest) -> object:
    choice = request.tool_choice
    if not isinstance(choice, NamedTool):
        return choice
    functions = {tool.name for tool in request.tools if isinstance(tool, ToolSpec)}
    if choice.name in functions or len(functions) == len(request.tools):
        return {"type": "function", "name": choice.name}
    return {"type": choice.name}  # a hosted tool; dated types are chosen by their undated name


def _text_options(request: InferenceRequest) -> JSONDict:
    text: JSONDict = {}
    match request.response_format:
        case None:
            pass
        case "text":
            text["format"] = {"type": "text"}
        case "json":
            text["format"] = {"type": "json_object"}
        case JSONSchemaFormat() as wanted:
            text["format"] = {"type": "json_schema", **named_schema(wanted)}
        case _:
            assert_never(request.response_format)
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    return text


def _reasoning_options(request: InferenceRequest, dropped: Unsupported) -> JSONDict:
    options = request.reasoning
    if options is None:
        return {}
    if options.enabled is not None:
        dropped.drop("reasoning.enabled", "give an effort instead")
    if options.budget_tokens is not None:
        dropped.drop("reasoning.budget_tokens", "give an effort instead")
    wanted = {"effort": options.effort, "summary": options.summary}
    return {name: value for name, value in wanted.items() if value is not None}


def _include(request: InferenceRequest, dialect: ResponsesDialect) -> list[str]:
    hosted = {tool.type for tool in request.tools if isinstance(tool, HostedTool)}
    include = [wanted for tool, wanted in dialect.includes.items() if tool in hosted]
    if request.store is False and request.reasoning is not None:
        # Who keeps no answers must hand the thoughts back. Models that have none refuse the question.
        include.append("reasoning.encrypted_content")
    if request.logprobs:
        include.append("message.output_text.logprobs")
    return include


class _Items:
    """Turns messages into items."""

    def __init__(self, dialect: ResponsesDialect, dropped: Unsupported) -> None:
        self._dialect = dialect
        self._dropped = dropped

    def of(self, messages: Sequence[Message]) -> list[JSONDict]:
        items: list[JSONDict] = []
        for message in messages:
            if message.name:
                self._dropped.drop("Message.name")
            made = self._said_by_model(message) if message.role == "assistant" else self._said_to_model(message)
            mark, text_type = self._dialect.cache_mark, "output_text" if message.role == "assistant" else "input_text"
            if message.cache and not (made and mark and mark.put(made[-1], message.cache, text_type=text_type)):
                self._dropped.drop("Message.cache")
            items += made
        return items

    def _said_to_model(self, message: Message) -> list[JSONDict]:
        """A message, with what tools answered as items of their own."""
        if isinstance(message.content, str) and message.role != "tool":
            return [{"role": message.role, "content": message.content}]
        items: list[JSONDict] = []
        content: list[JSONDict] = []
        for part in message.parts:
            match part:
                case ToolResultPart():
                    items.append(self._tool_result(part))
                case HostedToolPart():
                    self._append_own(items, part)
                case TextPart() | ImagePart() | AudioPart() | FilePart() if message.role != "tool":
                    content.append(self._input_part(part))
                case _:
                    self._dropped.drop(type(part).__name__, f"in a message of role {message.role}")
        if content:
            items.append({"role": message.role, "content": content})
        return items

    def _input_part(self, part: TextPart | ImagePart | AudioPart | FilePart) -> JSONDict:
        match part:
            case TextPart():
                return {"type": "input_text", "text": part.text}
            case ImagePart():
                image: JSONDict = {"type": "input_image", "image_url": part.url}
                if part.data is not None:
                    image["image_url"] = data_url(part.data, part.media_type or "")
                if part.detail:
                    image["detail"] = part.detail
                return image
            case AudioPart():
                sound = {"data": b64encode(part.data).decode(), "format": part.format}
                return {"type": "input_audio", "input_audio": sound}
            case FilePart():
                return self._file_part(part)
            case _:
                assert_never(part)

    def _file_part(self, part: FilePart) -> JSONDict:
        file: JSONDict = {"type": "input_file"}
        if part.url is not None:
            file["file_url"] = part.url
        elif part.file_id is not None:
            file["file_id"] = part.file_id
        else:
            file["file_data"] = data_url(part.data or b"", part.media_type or "application/octet-stream")
        if part.filename:
            file["filename"] = part.filename
        self._dropped.drop_stated(part, "context", "citations")
        return file

    def _tool_result(self, part: ToolResultPart) -> JSONDict:
        if part.is_error:
            self._dropped.drop("ToolResultPart.is_error", "the text alone must say it")
        output: object = part.content
        if not isinstance(part.content, str):
            output = [self._input_part(piece) for piece in part.content]
        return {"type": "function_call_output", "call_id": part.tool_call_id, "output": output}

    def _said_by_model(self, message: Message) -> list[JSONDict]:
        """The model's turn, item by item in the order in which it was said.

        A backend that keeps answers wants a thought followed by the very item that followed it, so items keep their
        ids beside a thought. Without one, an id would only ask for the thought that is missing.
        """
        if isinstance(message.content, str):
            return [{"role": "assistant", "content": message.content}]
        paired = any(isinstance(part, ReasoningPart) and self._own(part) for part in message.content)
        items: list[JSONDict] = []
        open_key: tuple[str | None, str | None] | None = None
        for part in message.content:
            key = (part.item_id, part.phase) if isinstance(part, TextPart) else (None, None)
            match part:
                case TextPart() | RefusalPart():
                    if open_key is None or (open_key != key and isinstance(part, TextPart)):
                        items.append(_output_message(key, paired=paired))
                        open_key = key
                    cast("list[JSONDict]", items[-1]["content"]).append(_output_part(part))
                    continue
                case ReasoningPart():
                    self._append_reasoning(items, part)
                case ToolCall():
                    call: JSONDict = {"type": "function_call", "call_id": part.id, "name": part.name}
                    call["arguments"] = part.arguments
                    if paired and part.item_id:
                        call["id"] = part.item_id
                    items.append(call)
                case HostedToolPart():
                    self._append_own(items, part)
                case ImagePart() | AudioPart() | FilePart() | ToolResultPart():
                    self._dropped.drop(type(part).__name__, "in a message of role assistant")
                case _:
                    assert_never(part)
            open_key = None
        return items

    def _append_reasoning(self, items: list[JSONDict], part: ReasoningPart) -> None:
        if not self._own(part):
            self._dropped.drop("ReasoningPart", "only whoever issued it can read it again")
        elif isinstance(part.raw, dict):
            items.append(dict(part.raw))
        else:
            item: JSONDict = {"type": "reasoning", "summary": [], "encrypted_content": part.signature}
            items.append(item | ({"id": part.id} if part.id else {}))

    def _append_own(self, items: list[JSONDict], part: HostedToolPart) -> None:
        if part.issuer == self._dialect.name and part.raw:
            items.append(dict(part.raw))
        else:
            self._dropped.drop("HostedToolPart", "only whoever issued it can read it again")

    def _own(self, part: ReasoningPart) -> bool:
        return part.issuer == self._dialect.name and bool(part.raw or part.signature)


def _output_message(key: tuple[str | None, str | None], *, paired: bool) -> JSONDict:
    item_id, phase = key
    message: JSONDict = {"type": "message", "role": "assistant", "content": list[JSONDict]()}
    if paired and item_id:
        message |= {"id": item_id, "status": "completed"}
    if phase:
        message["phase"] = phase
    return message


def _output_part(part: TextPart | RefusalPart) -> JSONDict:
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": list[JSONDict]()}
