"""How a scripted answer becomes the bytes of a wire format: what all formats share.

A format is a `WireFormat`, and an answer on its way out of it a `Speech`. Both only make data; a server sends it.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

from airframe.errors import AirframeError, ConnectionFailedError, ErrorCategory, Phase
from airframe.protocols.reading import JSONDict, objects_in, text_in
from airframe.testing.reply import Breakdown, Chunk, Reply
from airframe.testing.steps import Answer, Failure
from airframe.types import FinishReason, InferenceRequest, ToolCall, Usage

__all__ = [
    "CREATED",
    "SAMPLING",
    "Asked",
    "Document",
    "Refusal",
    "Speech",
    "WireFormat",
    "encoded",
    "halves",
    "known",
    "total_tokens",
    "words_of",
]

Document: TypeAlias = Mapping[str, object]

CREATED = 1_767_225_600
"""When every answer was made, in Unix time (2026-01-01): the same script gives the same bytes."""

SAMPLING = {name: name for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "user")}
"""Fields of a request that most formats call by the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question: what is asked, how the answer is wanted, and the server's number of it, of which ids are made."""

    request: InferenceRequest
    stream: bool
    number: int = 1
    model: str = "scripted"
    """Who answers, unless the script says so."""
    usage_wanted: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a format says an error: the status, its machine code, its type, and words that must be in the message."""

    status: int
    type: str = ""
    code: str | None = None
    words: str = ""


class Speech(ABC):
    """One answer in one format, said in this order: `begin`, pieces, `end`. Or all at once: `whole`."""

    def __init__(self, asked: Asked, answer: Answer) -> None:
        self.asked = asked
        self.answer = answer
        self.model = answer.model or asked.request.model or asked.model

    def begin(self) -> bytes:
        """What comes before the first piece."""
        return b""

    @abstractmethod
    def reasoning(self, piece: str) -> bytes:
        """A piece of what is thought."""

    @abstractmethod
    def text(self, piece: str) -> bytes:
        """A piece of the text."""

    @abstractmethod
    def tool_call(self, call: ToolCall) -> bytes:
        """A tool call."""

    @abstractmethod
    def end(self) -> bytes:
        """What proves the answer whole, and whatever comes after it."""

    @abstractmethod
    def whole(self) -> Document:
        """The answer that is not streamed."""


class WireFormat(ABC):
    """A wire format, from the server's side."""

    name: ClassVar[str]
    stream_type: ClassVar[str] = "text/event-stream"
    streams_by_default: ClassVar[bool] = False
    request_id_header: ClassVar[str] = "x-request-id"
    finish_reasons: ClassVar[Mapping[FinishReason, str]]
    refusals: ClassVar[Mapping[ErrorCategory, Refusal]]

    # -- the question

    @abstractmethod
    def read(self, body: JSONDict) -> InferenceRequest:
        """What is asked. Raises `AirframeError` for a body that is not of this format."""

    def wants_usage(self, body: JSONDict) -> bool:  # noqa: ARG002 - most formats always tell
        """Whether a stream is to say what it cost."""
        return True

    # -- the answer

    @abstractmethod
    def speech(self, asked: Asked, answer: Answer) -> Speech:
        """An answer that is about to be said."""

    @abstractmethod
    def error(self, refusal: Refusal, message: str) -> Document:
        """The body of an error."""

    def error_frame(self, refusal: Refusal, message: str) -> bytes:
        """An error in the middle of a stream."""
        return self.frame(self.error(refusal, message))

    def frame(self, document: Document | bytes) -> bytes:
        """An event of a stream; bytes stand for a document that is no JSON."""
        return b"data: " + (document if isinstance(document, bytes) else encoded(document)) + b"\n\n"

    def reply(self, step: Answer | Failure, asked: Asked) -> Reply | Breakdown:
        """What a step of a script is on the wire.

        Raises `ValueError` for what the format has no way to say.
        """
        if isinstance(step, Failure):
            return self._failed(step, asked)
        if asked.stream:
            speech = self.speech(asked, step)
            reply = self._streamed(speech, step, speech.end)
        else:
            reply = replace(Reply.of(encoded(self.speech(asked, step).whole())), wait=_duration(step))
        if step.request_id:
            reply = replace(reply, headers={**reply.headers, self.request_id_header: step.request_id})
        return reply

    def refuse(self, error: AirframeError) -> Reply:
        """An error by status."""
        refusal = self._refusal(error, in_stream=False)
        hint = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:g}"}
        return Reply.of(encoded(self.error(refusal, _message(error, refusal))), status=refusal.status, **hint)

    def finish_reason(self, answer: Answer) -> str:
        """The format's word. Raises `ValueError` if it has none."""
        reason = answer.finish_reason or (FinishReason.TOOL_CALLS if answer.tool_calls else FinishReason.STOP)
        word = self.finish_reasons.get(reason)
        if word is None:
            known = ", ".join(self.finish_reasons)
            raise ValueError(f"{self.name} cannot say the finish reason {reason.value!r}; it has {known}")
        return word

    def _failed(self, step: Failure, asked: Asked) -> Reply | Breakdown:
        error = step.to_error()
        lost = Breakdown("ConnectionFailedError", str(error), Phase.CONTENT, step.pause)
        said = asked.stream and bool(step.texts or step.thoughts)
        if not said:
            if isinstance(error, ConnectionFailedError):
                return replace(lost, phase=Phase.SENT, wait=_duration(step))
            if error.category is ErrorCategory.PROTOCOL:
                return replace(Reply.of(b'{"no": "JSON', content_type=self._content_type(asked)), wait=_duration(step))
            # What is said before an error has no place in an answer that is not streamed.
            return replace(self.refuse(error), wait=_duration(step))
        speech = self.speech(asked, Answer(chunks=step.texts, reasoning=step.reasoning, usage=step.usage))
        if isinstance(error, ConnectionFailedError):
            return replace(self._streamed(speech, step, None), end=lost)
        if error.category is ErrorCategory.PROTOCOL:
            return self._streamed(speech, step, lambda: self.frame(b'{"no": "JSON'))
        refusal = self._refusal(error, in_stream=True)
        return self._streamed(speech, step, lambda: self.error_frame(refusal, _message(error, refusal)))

    def _streamed(self, speech: Speech, step: Answer | Failure, end: Callable[[], bytes] | None) -> Reply:
        """The pieces as chunks, with the waits of the script before them. The beginning comes with the first piece."""
        pieces = [speech.begin()]
        pieces += [speech.reasoning(thought) for thought in step.thoughts]
        pieces += [speech.text(text) for text in step.texts]
        if isinstance(step, Answer):
            pieces += [speech.tool_call(call) for call in step.tool_calls]
        if end is not None:
            pieces.append(end())
        first, *others = pieces if len(pieces) == 1 else (pieces[0] + pieces[1], *pieces[2:])
        chunks = (Chunk(first, step.delay), *(Chunk(piece, step.pause) for piece in others))
        return Reply(headers={"content-type": self.stream_type, "cache-control": "no-cache"}, chunks=chunks)

    def _refusal(self, error: AirframeError, *, in_stream: bool) -> Refusal:
        refusal = self.refusals.get(error.category)
        if refusal is None:
            known = ", ".join(self.refusals)
            raise ValueError(f"{self.name} cannot say that something is {error.category.value!r}; it can say {known}")
        # A scripted error that is raised inside a stream has status 200, which is nothing to tell.
        status = error.status if error.status and not in_stream and error.status >= 300 else refusal.status
        return replace(refusal, status=status, code=error.code or refusal.code)

    def _content_type(self, asked: Asked) -> str:
        return self.stream_type if asked.stream else "application/json"


def encoded(document: object) -> bytes:
    """Compact JSON in UTF-8, as servers write it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def halves(text: str) -> Sequence[str]:
    """A text in two pieces: servers send the arguments of a call in several."""
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def known(**fields: object) -> JSONDict:
    """The fields that are there; what is unknown is not said."""
    return {name: value for name, value in fields.items() if value not in (None, {})}


def total_tokens(usage: Usage) -> int | None:
    """The total, which is the sum where nothing else is said."""
    if usage.total_tokens is not None or usage.input_tokens is None or usage.output_tokens is None:
        return usage.total_tokens
    return usage.input_tokens + usage.output_tokens


def words_of(content: object) -> str:
    """The text of a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(text_in(part, "text") or "" for part in objects_in({"content": content}, "content"))


def _message(error: AirframeError, refusal: Refusal) -> str:
    said = str(error)
    return said if refusal.words.lower() in said.lower() else f"{refusal.words} ({said})"


def _duration(step: Answer | Failure) -> float:
    """Seconds that a step takes when all of it is said at once."""
    calls = step.tool_calls if isinstance(step, Answer) else ()
    return step.delay + step.pause * (len(step.thoughts) + len(step.texts) + len(calls))
