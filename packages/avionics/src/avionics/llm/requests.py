"""From what a caller says to airframe's request: one place for the arguments that gateway and providers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypedDict, cast

from airframe.errors import InvalidRequestError
from airframe.types import (
    HostedTool,
    InferenceRequest,
    JSONValue,
    Markup,
    Message,
    Part,
    ReasoningOptions,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    TextPart,
    ToolCall,
    ToolChoice,
    ToolResultPart,
    ToolSpec,
)

__all__ = [
    "RequestOptions",
    "conversation",
    "estimate_message_tokens",
    "estimate_prompt_tokens",
    "estimate_tokens",
    "message_text",
    "most_prompt_tokens",
    "utf8_length",
]

_BYTES_PER_TOKEN = 4
"""A rule of thumb for English text, stated by OpenAI ("What are tokens", read 2026-11-20). For estimates only."""


class RequestOptions(TypedDict, total=False):
    """The fields of `InferenceRequest` that a call may set, each with its meaning there."""

    temperature: float | None
    max_tokens: int | None
    tools: Sequence[ToolSpec | HostedTool]
    tool_choice: ToolChoice | None
    parallel_tool_calls: bool | None
    response_format: ResponseFormat | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repeat_penalty: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    stop: Sequence[str]
    seed: int | None
    logprobs: bool | None
    top_logprobs: int | None
    reasoning: ReasoningOptions | None
    verbosity: str | None
    service_tier: str | None
    prompt_cache_key: str | None
    metadata: Mapping[str, str] | None
    user: str | None
    previous_response_id: str | None
    store: bool | None
    markup: Markup | None
    extra_params: Mapping[str, JSONValue]
    extra_headers: Mapping[str, str]
    strict: bool


def conversation(prompt: str | None, system: str | None, messages: Sequence[Message]) -> Sequence[Message]:
    """The system's words, then `messages`, then the prompt. Raises `InvalidRequestError` that names the field."""
    for name, text in (("prompt", prompt), ("system", system)):
        given: object = text
        if given is not None and not isinstance(given, str):
            raise InvalidRequestError(f"{name} must be a text, got {type(given).__name__}")
    if prompt is not None and not prompt.strip():
        raise InvalidRequestError("prompt must not be empty; leave it None when messages hold the question")
    if prompt is None and not messages:
        raise InvalidRequestError("prompt and messages are both missing; give a prompt, or at least one Message")
    first = [Message("system", system)] if system else []
    last = [Message("user", prompt)] if prompt is not None else []
    return [*first, *messages, *last]


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` is."""
    return -(-utf8_length(text) // _BYTES_PER_TOKEN)


def estimate_prompt_tokens(request: InferenceRequest) -> int:
    """About how many tokens the texts of a request are. Images, sound, tools and the template are not counted."""
    return sum(map(estimate_message_tokens, request.messages))


def most_prompt_tokens(request: InferenceRequest) -> int:
    """What `estimate_prompt_tokens` cannot exceed, and far quicker to know: no character is more than a token."""
    contents = (message.content for message in request.messages)
    return sum(len(content if isinstance(content, str) else "".join(_texts(content))) for content in contents)


def estimate_message_tokens(message: Message) -> int:
    """About how many tokens the texts of a message are, those of tool calls and their results included."""
    text = message.content
    return -(-utf8_length(text if isinstance(text, str) else message_text(message)) // _BYTES_PER_TOKEN)


def message_text(message: Message) -> str:
    """All texts of a message in one, those of tool calls and their results included."""
    content = message.content
    return content if isinstance(content, str) else "".join(_texts(content))


def utf8_length(text: str) -> int:
    """Bytes of `text` in UTF-8. Of ASCII, which most texts are, this is known without looking at it."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _texts(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        match part:
            case TextPart() | ReasoningPart() | RefusalPart():
                yield part.text
            case ToolCall():
                yield part.arguments
            case ToolResultPart(content=str(text)):
                yield text
            case ToolResultPart():
                yield from _texts(cast("Sequence[Part]", part.content))
            case _:
                pass
