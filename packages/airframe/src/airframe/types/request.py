"""What is asked of a model: one vocabulary for every wire format."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from airframe.errors import InvalidRequestError
from airframe.types.messages import Message

__all__ = [
    "HostedTool",
    "InferenceRequest",
    "JSONSchemaFormat",
    "Markup",
    "NamedTool",
    "ReasoningOptions",
    "ResponseFormat",
    "ToolChoice",
    "ToolSpec",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A function that the model may ask to have called. `parameters` is a JSON Schema of its arguments.

    `options` are further members of the tool, in the backend's words, such as `{"defer_loading": True}`; they win.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, object] = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    options: Mapping[str, object] = field(default_factory=dict[str, object])

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidRequestError("ToolSpec.name must not be empty; give the function's name")


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that the backend runs itself: its `type` and its options, both in the backend's words.

    `HostedTool("web_search")`, `HostedTool("file_search", {"vector_store_ids": ["vs_1"]})`.
    """

    type: str
    options: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A tool choice: this tool and no other."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True, slots=True, kw_only=True)
class JSONSchemaFormat:
    """The answer must be a JSON document that keeps to `schema`. `description` tells the model what it is for."""

    schema: Mapping[str, object]
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


Markup: TypeAlias = Literal["none", "think", "think_open", "harmony"]
"""How a model marks reasoning in plain text: not at all, by `<think>` tags, by these where the chat template has opened
the first one in the prompt (the answer then begins inside a thought), or by the channels of gpt-oss (Harmony)."""

ResponseFormat: TypeAlias = Literal["text", "json"] | JSONSchemaFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningOptions:
    """How much the model may think: by `effort` (the backend's word), by `budget_tokens`, or switched by `enabled`."""

    effort: str | None = None
    budget_tokens: int | None = None
    summary: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRequest:
    """One question to one model.

    Everything but `messages` is optional, and None leaves the choice to the backend. What a wire format cannot carry
    becomes an entry in `InferenceResult.warnings`, or an `InvalidRequestError` with `strict=True`. `extra_params` are
    merged into the body last, `extra_headers` into the headers; they win over what the adapter would send.

    Raises `InvalidRequestError` that names the field, for values no backend could take.
    """

    messages: Sequence[Message]
    model: str | None = None
    tools: Sequence[ToolSpec | HostedTool] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning: ReasoningOptions | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    metadata: Mapping[str, str] | None = None
    user: str | None = None
    previous_response_id: str | None = None
    """The answer that this request goes on from, where the backend keeps conversations."""
    store: bool | None = None
    """Whether the backend should keep the answer."""
    markup: Markup | None = None
    """How reasoning is marked inside the text of the answer; None takes the endpoint's."""
    extra_params: Mapping[str, object] = field(default_factory=dict[str, object])
    extra_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    strict: bool = False

    def __post_init__(self) -> None:
        self._check_messages()
        if self.tools != ():
            self._check_tools()
        for name, words, kind in _WORDS:
            if (value := getattr(self, name)) is not None:
                _one_of(name, value, words, kind)
        for name, least in _INTEGERS:
            if (value := getattr(self, name)) is not None:
                _integer(name, value, least)
        for name, least, most in _NUMBERS:
            if (value := getattr(self, name)) is not None:
                _number(name, value, least, most)
        if isinstance(self.stop, str):
            raise InvalidRequestError("stop must be a sequence of texts, got str; wrap it in a list")
        for position, text in enumerate(self.stop):
            _text(f"stop[{position}]", text)
        for header, text in self.extra_headers.items():
            _text(f"extra_headers[{header!r}]", text)

    def _check_messages(self) -> None:
        messages: object = self.messages
        if isinstance(messages, (str, bytes)) or not isinstance(messages, Sequence):
            raise InvalidRequestError(
                f"messages must be a sequence of Message, got {type(messages).__name__}; "
                "for a single question give [Message('user', text)]"
            )
        if not messages:
            raise InvalidRequestError("messages must not be empty; give at least one Message")
        if _MESSAGE.issuperset(map(type, messages)):  # of a long history this is quicker to ask
            return
        for position, message in enumerate(self.messages):
            if not isinstance(message, Message):
                raise InvalidRequestError(f"messages[{position}] must be a Message, got {type(message).__name__}")

    def _check_tools(self) -> None:
        for position, tool in enumerate(self.tools):
            if not isinstance(tool, ToolSpec | HostedTool):
                raise InvalidRequestError(
                    f"tools[{position}] must be a ToolSpec or a HostedTool, got {type(tool).__name__}"
                )
        names = [tool.name for tool in self.tools if isinstance(tool, ToolSpec)]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InvalidRequestError(f"tools must have distinct names, these come twice: {', '.join(sorted(twice))}")


_MESSAGE = frozenset({Message})

_WORDS: tuple[tuple[str, Sequence[str], type | None], ...] = (
    ("tool_choice", ("auto", "none", "required"), NamedTool),
    ("response_format", ("text", "json"), JSONSchemaFormat),
    ("markup", get_args(Markup), None),
)
"""Fields that take one of a few words, or a value of their own type."""

_INTEGERS: tuple[tuple[str, int | None], ...] = (("max_tokens", 1), ("top_k", 0), ("top_logprobs", 0), ("seed", None))
"""Fields that take whole numbers, and the smallest that they take."""

_NUMBERS: tuple[tuple[str, int | None, int | None], ...] = (
    ("temperature", 0, None),
    ("top_p", 0, 1),
    ("min_p", 0, 1),
    ("repeat_penalty", None, None),
    ("presence_penalty", None, None),
    ("frequency_penalty", None, None),
)
"""Fields that take any finite number, or one between two."""


def _one_of(name: str, value: object, words: Sequence[str], kind: type | None) -> None:
    if value in words or (kind is not None and isinstance(value, kind)):
        return
    allowed = ", ".join(map(repr, words)) + (f" or a {kind.__name__}" if kind else "")
    raise InvalidRequestError(
        f"{name} must be {allowed}, got {repr(value[:40]) if isinstance(value, str) else type(value).__name__}"
    )


def _text(place: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequestError(f"{place} must be a text, got {type(value).__name__}")


def _integer(name: str, value: object, least: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequestError(f"{name} must be an integer, got {type(value).__name__}")
    if least is not None and value < least:
        raise InvalidRequestError(
            f"{name} must be at least {least}, got {value}; leave it None for the backend's default"
        )


def _number(name: str, value: object, least: int | None, most: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidRequestError(f"{name} must be a number, got {type(value).__name__}")
    if not math.isfinite(value):
        raise InvalidRequestError(f"{name} must be a finite number, got {value}")
    if most is not None and least is not None and not least <= value <= most:
        raise InvalidRequestError(f"{name} must lie between {least} and {most}, got {value}")
    if least is not None and value < least:
        raise InvalidRequestError(f"{name} must be {least} or more, got {value}")
