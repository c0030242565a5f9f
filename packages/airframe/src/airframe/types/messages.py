"""What is said to a model and by it: messages and the parts they are made of.

A message is a role and a content; the content is a text or a sequence of parts in the order in which they were said.
The same parts appear in an answer (`InferenceResult.content`), so an answer goes back into the history unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast, get_args

from pydantic_core import from_json

from airframe.errors import InvalidRequestError
from airframe.types.json_value import JSONObject, JSONValue

__all__ = [
    "AudioPart",
    "CacheHint",
    "FilePart",
    "HostedToolPart",
    "ImagePart",
    "Message",
    "Part",
    "ReasoningPart",
    "RefusalPart",
    "Role",
    "SearchHit",
    "TextPart",
    "ToolCall",
    "ToolResultPart",
]

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]

ROLES: frozenset[str] = frozenset(get_args(Role))


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text. `phase` is OpenAI's mark of words on the way (`commentary`) or in the end (`final_answer`)."""

    text: str
    phase: str | None = None
    item_id: str | None = None
    """The backend's name for the item that holds the text (OpenAI Responses), which pairs it with its reasoning."""
    citations: Sequence[JSONObject] = field(default=(), repr=False)
    """What the text cites, in the backend's form, where that goes back with the text (Anthropic)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """An image, by `url` or as `data` with its `media_type` (`image/png`); exactly one of the two."""

    url: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None

    def __post_init__(self) -> None:
        _one_source("ImagePart", self.url, self.data)
        if self.data is not None and not self.media_type:
            raise InvalidRequestError("ImagePart.media_type is missing; give for example 'image/png' beside data")


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPart:
    """A piece of sound: encoded bytes and their format, `wav` or `mp3` where the backend is OpenAI's.

    What a model said aloud has a `transcript`, and an `id` by which it goes back into the conversation; its `format` is
    None: it is the one that was asked for, which an answer does not repeat.
    """

    data: bytes = b""
    format: str | None = None
    id: str | None = None
    transcript: str | None = None

    def __post_init__(self) -> None:
        if self.id is None and not (self.data and self.format):
            raise InvalidRequestError(
                "AudioPart needs data and its format, such as 'wav', or the id of a spoken answer"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """A document: by `url`, by the backend's `file_id`, or as `data` with its `media_type`; exactly one of them."""

    url: str | None = None
    file_id: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    filename: str | None = None
    context: str | None = None
    """What the model should know about the document, without being able to cite it."""
    citations: bool | None = None
    """Whether the answer should cite the document."""

    def __post_init__(self) -> None:
        _one_source("FilePart", self.url, self.file_id, self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningPart:
    """What the model thought before it spoke.

    `signature` is the issuer's proof or encrypted form of the thought; it is sent back only to the `issuer` that made
    it (the wire format's name, such as `anthropic`), because nobody else can read it. `raw` is the issuer's own form of
    the thought where it has to go back unchanged.
    """

    text: str = ""
    issuer: str | None = None
    signature: str | None = None
    id: str | None = None
    redacted: bool = False
    raw: JSONValue = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RefusalPart:
    """The words with which the model declined."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's wish to call a tool.

    `arguments` is the JSON text exactly as the model wrote it, valid or not; `parsed_arguments` is its object, or None
    when the text is no JSON object. `complete` is False only inside the partial result of a broken stream, where more
    of the arguments may have been to come. `id_generated` marks an id that we made because the backend sent none of
    its own.
    """

    id: str
    name: str
    arguments: str = "{}"
    complete: bool = True
    id_generated: bool = False
    item_id: str | None = None
    """The backend's name for the item that holds the call, where that is another one (OpenAI Responses)."""
    caller: JSONObject | None = field(default=None, repr=False)
    """What called, where that was not the model itself but code that it wrote for the backend to run (Anthropic)."""

    @property
    def parsed_arguments(self) -> JSONObject | None:
        """The arguments as an object; None when they are not a JSON object (then see `arguments`)."""
        try:
            value: object = from_json(self.arguments or "{}")
        except ValueError:
            return None
        return cast("JSONObject", value) if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResultPart:
    """What a tool answered to the call `tool_call_id`; `is_error` says that the tool failed."""

    tool_call_id: str
    content: str | Sequence[TextPart | ImagePart | FilePart] = ""
    is_error: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """A piece that a hosted search found. `score` is the backend's own measure; None where it gives none."""

    text: str | None = None
    file_id: str | None = None
    filename: str | None = None
    url: str | None = None
    title: str | None = None
    score: float | None = None
    raw: JSONObject = field(default_factory=dict[str, JSONValue], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedToolPart:
    """Something that the backend's own tool did: a web search, a file search, code it ran, or the result of one.

    `kind` is the backend's word (`web_search_call`, `file_search_call`, `server_tool_use`, ...), `hits` what a search
    found. `raw` is the backend's whole item; it goes back unchanged to the `issuer` and to nobody else.
    """

    kind: str
    issuer: str
    id: str | None = None
    status: str | None = None
    hits: Sequence[SearchHit] = ()
    raw: JSONObject = field(default_factory=dict[str, JSONValue], repr=False)


Part: TypeAlias = (
    TextPart
    | ImagePart
    | AudioPart
    | FilePart
    | ReasoningPart
    | RefusalPart
    | ToolCall
    | ToolResultPart
    | HostedToolPart
)

CacheHint: TypeAlias = Literal["default", "5m", "30m", "1h", "12h"]
"""How long a prompt prefix is worth keeping; `default` leaves the time to the backend."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation: who speaks and what is said.

    Raises `InvalidRequestError` for an unknown role or a content that is neither text nor a sequence of parts.
    """

    role: Role
    content: str | Sequence[Part] = ""
    name: str | None = None
    cache: CacheHint | None = None
    """Says that everything up to the end of this message will be sent again soon and is worth caching."""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InvalidRequestError(f"Message.role must be one of {', '.join(sorted(ROLES))}, got {self.role!r}")
        if isinstance(self.content, str):
            return
        content: object = self.content
        if not isinstance(content, Sequence) or isinstance(content, bytes):
            raise InvalidRequestError(
                f"Message.content must be a text or a sequence of parts, got {type(content).__name__}"
            )
        for position, part in enumerate(cast("Sequence[object]", content)):
            if not isinstance(part, get_args(Part)):
                raise InvalidRequestError(
                    f"Message.content[{position}] must be a part such as TextPart, got {type(part).__name__}"
                )

    @classmethod
    def tool(cls, tool_call_id: str, content: str, *, is_error: bool = False) -> Message:
        """The answer of a tool to one call."""
        return cls("tool", (ToolResultPart(tool_call_id=tool_call_id, content=content, is_error=is_error),))

    @property
    def parts(self) -> Sequence[Part]:
        """The content as parts, whichever way it was given."""
        if isinstance(self.content, str):
            return (TextPart(self.content),) if self.content else ()
        return self.content

    @property
    def text(self) -> str:
        """All text of the message, joined; other parts left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


def _one_source(owner: str, *sources: object) -> None:
    given = sum(source is not None for source in sources)
    if given != 1:
        raise InvalidRequestError(f"{owner} needs exactly one source (url, data, ...), got {given}")
