"""The interface of a wire format: pure functions and a decoder, no sockets, no clock.

encode          our request -> bytes to send
decode          the bytes of a whole answer -> our result
stream_decoder  the bytes of a stream, in any pieces -> events, and the result so far
classify_error  an error's status, headers and bytes -> our exception
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from pydantic_core import PydanticSerializationError, to_json

from airframe.endpoints import Limits
from airframe.errors import (
    AirframeError,
    BackendError,
    InvalidRequestError,
    MalformedAnswerError,
    Phase,
    TruncatedAnswerError,
)
from airframe.protocols.framing import LineFramer, SSEFrame, SSEFramer
from airframe.protocols.reading import JSONDict, excerpt
from airframe.types.events import StreamEvent
from airframe.types.messages import Message, Part, TextPart
from airframe.types.request import InferenceRequest, Markup
from airframe.types.result import InferenceResult, InferenceWarning

__all__ = [
    "DecodeOptions",
    "NDJSONDecoder",
    "Protocol",
    "SSEDecoder",
    "StreamDecoder",
    "Unsupported",
    "WireRequest",
    "body_bytes",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """A request as it goes out: path below the base URL, body, and what of the question it could not say."""

    path: str
    body: bytes
    warnings: tuple[InferenceWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """How to read an answer: how large it may be, how reasoning is marked in its text, and how long it was to be.

    `max_tokens` is what was asked for, for backends that do not say that they stopped there.
    """

    limits: Limits = field(default_factory=Limits)
    markup: Markup = "none"
    max_tokens: int | None = None


_NO_OPTIONS = frozenset({"messages", "model", "markup", "extra_params", "extra_headers", "strict"})


@dataclass(slots=True)
class Unsupported:
    """Collects what a wire format cannot carry: as warnings, or as an error for who wants nothing dropped."""

    format: str
    strict: bool
    warnings: list[InferenceWarning] = field(default_factory=list[InferenceWarning])

    def drop(self, subject: str, why: str = "") -> None:
        """Note that `subject` is not sent. Raises `InvalidRequestError` if the request is strict."""
        message = f"{self.format} cannot carry {subject}{f' ({why})' if why else ''}"
        if self.strict:
            raise InvalidRequestError(f"{message}; leave it out, or ask with strict=False to have it dropped")
        self.warnings.append(InferenceWarning(subject, f"{message}; it was not sent"))

    def drop_stated(self, owner: Message | Part, *names: str) -> None:
        """Note those of the optional fields `names` that a message or a part states."""
        for name in names:
            if getattr(owner, name) is not None:
                self.drop(f"{type(owner).__name__}.{name}")

    def keep_only(self, request: InferenceRequest, *carried: str) -> None:
        """Note every option that `request` states and that is not among `carried`."""
        for option in fields(InferenceRequest):
            if option.name not in _NO_OPTIONS and option.name not in carried:
                value: object = getattr(request, option.name)
                if value not in (None, (), [], {}):
                    self.drop(option.name)

    def text_of(self, message: Message) -> str:
        """The text of a message, for formats that know nothing else; its other parts are noted."""
        for part in message.parts:
            if not isinstance(part, TextPart):
                self.drop(type(part).__name__)
        self.drop_stated(message, "name", "cache")
        return message.text


class StreamDecoder(ABC):
    """Turns one stream into events. After an exception it must not be fed again."""

    complete: bool = False
    """The end marker has come; whatever follows is not part of the answer."""
    proven: bool = False
    """The backend has said why it stopped: the answer is whole, even if the rest of the stream is lost."""
    progress: int = 0
    """Counts what shows that the model is at work; comments and pings do not."""

    @abstractmethod
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        """Append to `out` the events that `data` completes. Raises `AirframeError`; what was appended before stands."""

    @abstractmethod
    def finish(self, out: list[StreamEvent]) -> None:
        """The input has ended. Raises `TruncatedAnswerError` unless the answer is proven whole."""

    @abstractmethod
    def result(self) -> InferenceResult:
        """The answer as far as it has come; without a finish reason unless `proven`."""

    def _truncated(self) -> AirframeError:
        return TruncatedAnswerError(
            "the stream ended before the backend said that the answer is complete", phase=Phase.CONTENT
        )


class SSEDecoder(StreamDecoder):
    """What all wire formats over server-sent events share: framing, and the end of the input."""

    def __init__(self, options: DecodeOptions) -> None:
        self._framer = SSEFramer(options.limits.line_bytes, options.limits.event_bytes)

    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        for frame in self._framer.feed(data):
            self.frame(frame, out)
            if self.complete:
                return

    def finish(self, out: list[StreamEvent]) -> None:
        if self.complete:
            return
        if frame := self._framer.finish():
            try:
                self.frame(frame, out)
            except MalformedAnswerError:
                # Half an event is what a cut leaves behind.
                raise self._truncated() from None
        if not self.proven:
            raise self._truncated()
        self.complete = True

    @abstractmethod
    def frame(self, frame: SSEFrame, out: list[StreamEvent]) -> None:
        """Take one event."""


class NDJSONDecoder(StreamDecoder):
    """What wire formats of one JSON object a line share."""

    def __init__(self, options: DecodeOptions) -> None:
        self._framer = LineFramer(options.limits.line_bytes)

    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        for line in self._framer.feed(data):
            if line.strip():
                self.line(line, out)
            if self.complete:
                return

    def finish(self, out: list[StreamEvent]) -> None:
        if self.complete:
            return
        if (line := self._framer.finish()).strip():
            try:
                self.line(line, out)
            except MalformedAnswerError:
                raise self._truncated() from None
        if not self.proven:
            raise self._truncated()
        self.complete = True

    @abstractmethod
    def line(self, line: bytes, out: list[StreamEvent]) -> None:
        """Take one line."""


class Protocol(ABC):
    """A wire format. Stateless, so one instance serves all endpoints and tasks."""

    name: str

    @abstractmethod
    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        """The request as bytes. `model` is the one to ask. Raises `InvalidRequestError`."""

    @abstractmethod
    def decode(self, body: bytes, options: DecodeOptions) -> InferenceResult:
        """A whole answer. Raises `BackendError` for an error inside it, `ProtocolError` for what is no answer."""

    @abstractmethod
    def stream_decoder(self, options: DecodeOptions) -> StreamDecoder:
        """A fresh decoder for one stream."""

    @abstractmethod
    def classify_error(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        """The error for an answer whose status says that it is none."""


def body_bytes(body: JSONDict, extra_params: Mapping[str, object]) -> bytes:
    """The JSON to send; `extra_params` win. Raises `InvalidRequestError` for values that JSON cannot say."""
    try:
        return to_json({**body, **extra_params}, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError, TypeError) as error:
        detail = excerpt(str(error).encode("utf-8", "replace"))
        raise InvalidRequestError(f"the request holds a value that JSON cannot say: {detail}") from None
