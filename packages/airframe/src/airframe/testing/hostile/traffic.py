"""What backends say, as bytes: one `Traffic` for each wire format, so that every fault can be done to all of them.

A new wire format joins the fault suite by a subclass here and a line in `TRAFFIC`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, TypeAlias

from airframe.testing.hostile.server import ReceivedRequest

__all__ = [
    "TRAFFIC",
    "AnthropicTraffic",
    "ChatTraffic",
    "Document",
    "LlamaCompletionTraffic",
    "OllamaTraffic",
    "ResponsesTraffic",
    "Traffic",
    "encoded",
]

Document: TypeAlias = Mapping[str, object]


class Traffic(ABC):
    """One wire format, spoken by a server: pieces of a stream, and whole answers. By default, server-sent events."""

    name: ClassVar[str]
    content_type: ClassVar[str] = "text/event-stream"
    ping: ClassVar[bytes] = b": ping\n\n"
    """What keeps a connection open and says nothing."""
    preliminaries: ClassVar[Mapping[str, Document]] = MappingProxyType({})
    """The answers to questions that come before the real one, by the end of their paths."""

    # -- what is said; documents become bytes by `frame`

    def start(self) -> bytes:
        """What comes before the first text, if anything."""
        return b""

    @abstractmethod
    def text(self, piece: object) -> Document:
        """The event that says `piece`; a text, where it is right."""

    @abstractmethod
    def finish(self, reason: str | None = None, *, tokens: object = None) -> bytes:
        """What proves the answer whole. By default the model just stopped, and says nothing of usage.

        `tokens` is said as the number of tokens in as well as out; what is not a number makes it wrong.
        """

    def end(self) -> bytes:
        """The end marker after the finish, if there is one."""
        return b""

    @abstractmethod
    def whole(self, text: object, reason: str | None = None, *, tokens: object = None) -> Document:
        """The answer that is not streamed."""

    def error(self, message: str) -> Document:
        """The error in place of an answer or an event: the backend itself is broken."""
        return {"error": {"message": message, "type": "server_error", "code": 500}}

    def frame(self, document: Document | bytes) -> bytes:
        """An event as it goes over the wire; bytes stand for a document that is no JSON."""
        return b"data: " + encoded(document) + b"\n\n"

    def said(self, *pieces: str) -> bytes:
        """The beginning of a stream, up to and with these pieces."""
        return self.start() + b"".join(self.frame(self.text(piece)) for piece in pieces)

    def answer(self, *pieces: str) -> bytes:
        """A whole stream that says `pieces`, from first to last byte."""
        return self.said(*pieces) + self.finish() + self.end()

    # -- what was asked

    def preliminary(self, request: ReceivedRequest) -> Document | None:
        """The answer to a question that comes before the real one; None for the real one."""
        return next((answer for end, answer in self.preliminaries.items() if request.target.endswith(end)), None)

    def is_stream(self, request: ReceivedRequest) -> bool:
        """Whether `request` wants its answer streamed."""
        return bool(json.loads(request.body).get("stream"))


class ChatTraffic(Traffic):
    """OpenAI's chat completions."""

    name = "chat"

    def text(self, piece: object) -> Document:
        return self.chunk({"delta": {"content": piece}})

    def finish(self, reason: str | None = None, *, tokens: object = None) -> bytes:
        return self.frame(self.chunk({"delta": {}, "finish_reason": reason or "stop"}, **self._usage(tokens)))

    def end(self) -> bytes:
        return self.frame(b"[DONE]")

    def whole(self, text: object, reason: str | None = None, *, tokens: object = None) -> Document:
        message = {"role": "assistant", "content": text}
        return self.chunk({"message": message, "finish_reason": reason or "stop"}, **self._usage(tokens))

    def chunk(self, choice: Document, **fields: object) -> Document:
        """A document with one choice, and further `fields` beside it."""
        return {"id": "c-1", "model": "m-1", "choices": [{"index": 0, "finish_reason": None, **choice}], **fields}

    def _usage(self, tokens: object) -> Document:
        return {} if tokens is None else {"usage": {"prompt_tokens": tokens, "completion_tokens": tokens}}


class LlamaCompletionTraffic(Traffic):
    """llama.cpp's own `/completion`, and the template that is asked for before it."""

    name = "llama_completion"
    preliminaries = MappingProxyType({"/apply-template": {"prompt": "a prompt"}})

    def text(self, piece: object) -> Document:
        return {"content": piece, "stop": False}

    def finish(self, reason: str | None = None, *, tokens: object = None) -> bytes:
        return self.frame(self.whole("", reason, tokens=tokens))

    def whole(self, text: object, reason: str | None = None, *, tokens: object = None) -> Document:
        usage = {} if tokens is None else {"tokens_evaluated": tokens, "tokens_predicted": tokens}
        return {"content": text, "stop": True, "stop_type": reason or "eos", "model": "m-1", **usage}


class AnthropicTraffic(Traffic):
    """Anthropic's Messages."""

    name = "anthropic"
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'

    def start(self) -> bytes:
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        return self.frame({"type": "message_start", "message": self._message([])}) + self.frame(block)

    def text(self, piece: object) -> Document:
        return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}

    def finish(self, reason: str | None = None, *, tokens: object = None) -> bytes:
        delta = {"type": "message_delta", "delta": {"stop_reason": reason or "end_turn"}, **self._usage(tokens)}
        return self.frame(delta) + self.frame({"type": "message_stop"})

    def whole(self, text: object, reason: str | None = None, *, tokens: object = None) -> Document:
        message = self._message([{"type": "text", "text": text}])
        return {**message, "stop_reason": reason or "end_turn", **self._usage(tokens)}

    def error(self, message: str) -> Document:
        return {"type": "error", "error": {"type": "api_error", "message": message}}

    def frame(self, document: Document | bytes) -> bytes:
        name = b"" if isinstance(document, bytes) else b"event: %b\n" % str(document.get("type", "")).encode()
        return name + super().frame(document)

    def _message(self, content: list[Document]) -> Document:
        return {"id": "c-1", "type": "message", "role": "assistant", "model": "m-1", "content": content}

    def _usage(self, tokens: object) -> Document:
        return {} if tokens is None else {"usage": {"input_tokens": tokens, "output_tokens": tokens}}


class ResponsesTraffic(Traffic):
    """OpenAI's Responses."""

    name = "responses"

    def start(self) -> bytes:
        created = {"type": "response.created", "response": self._response("in_progress", [])}
        added = {"type": "response.output_item.added", "output_index": 0, "item": self._item([])}
        return self.frame(created) + self.frame(added)

    def text(self, piece: object) -> Document:
        place = {"item_id": "i-1", "output_index": 0, "content_index": 0}
        return {"type": "response.output_text.delta", **place, "delta": piece}

    def finish(self, reason: str | None = None, *, tokens: object = None) -> bytes:
        response = self._response("incomplete" if reason else "completed", [], reason, tokens)
        return self.frame({"type": f"response.{response['status']}", "response": response})

    def whole(self, text: object, reason: str | None = None, *, tokens: object = None) -> Document:
        item = self._item([{"type": "output_text", "text": text, "annotations": []}])
        return self._response("incomplete" if reason else "completed", [item], reason, tokens)

    def error(self, message: str) -> Document:
        return {"type": "error", **super().error(message)}

    def _item(self, content: list[Document]) -> Document:
        return {"id": "i-1", "type": "message", "role": "assistant", "content": content}

    def _response(
        self, status: str, output: list[Document], reason: str | None = None, tokens: object = None
    ) -> Document:
        usage = {} if tokens is None else {"usage": {"input_tokens": tokens, "output_tokens": tokens}}
        details = {"incomplete_details": {"reason": reason}} if reason else {}
        return {
            "id": "c-1",
            "object": "response",
            "model": "m-1",
            "status": status,
            "output": output,
            **details,
            **usage,
        }


class OllamaTraffic(Traffic):
    """Ollama's `/api/chat`, which is no stream of server-sent events but of lines."""

    name = "ollama"
    content_type = "application/x-ndjson"
    ping = b"\n"

    def text(self, piece: object) -> Document:
        return {"model": "m-1", "message": {"role": "assistant", "content": piece}, "done": False}

    def finish(self, reason: str | None = None, *, tokens: object = None) -> bytes:
        return self.frame(self.whole("", reason, tokens=tokens))

    def whole(self, text: object, reason: str | None = None, *, tokens: object = None) -> Document:
        usage = {} if tokens is None else {"prompt_eval_count": tokens, "eval_count": tokens}
        return {**self.text(text), "done": True, "done_reason": reason or "stop", **usage}

    def error(self, message: str) -> Document:
        return {"error": f"an error was encountered while running the model: {message}"}

    def frame(self, document: Document | bytes) -> bytes:
        return encoded(document) + b"\n"


TRAFFIC: Mapping[str, Traffic] = MappingProxyType(
    {
        traffic.name: traffic
        for traffic in (
            AnthropicTraffic(),
            ChatTraffic(),
            LlamaCompletionTraffic(),
            OllamaTraffic(),
            ResponsesTraffic(),
        )
    }
)
"""The wire formats that are there, by name."""


def encoded(document: Document | bytes) -> bytes:
    """Compact JSON in UTF-8, as servers write it; bytes stay as they are."""
    if isinstance(document, bytes):
        return document
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
