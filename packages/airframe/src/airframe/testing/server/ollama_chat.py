"""Ollama's own `/api/chat`, spoken by a server: one JSON object a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

from typing_extensions import override

from airframe.errors import ErrorCategory
from airframe.protocols.reading import JSONDict, object_in, objects_in
from airframe.testing.server.openai_chat import read_chat_messages, read_options, read_tool
from airframe.testing.server.wire_format import (
    SAMPLING,
    Asked,
    Document,
    Refusal,
    Speech,
    WireFormat,
    encoded,
    known,
)
from airframe.testing.steps import Answer
from airframe.types import FinishReason, InferenceRequest, ToolCall

__all__ = ["MADE", "OllamaFormat"]

MADE = "2026-01-01T00:00:00Z"
"""When every answer and model was made."""

_C = ErrorCategory


class OllamaFormat(WireFormat):
    """The native chat. It has no machine codes: the status says what is wrong, and in some cases the words."""

    name = "Ollama /api/chat"
    stream_type = "application/x-ndjson"
    streams_by_default = True
    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {
        FinishReason.STOP: "stop",
        FinishReason.TOOL_CALLS: "stop",
        FinishReason.LENGTH: "length",
    }
    refusals: ClassVar[Mapping[ErrorCategory, Refusal]] = {
        _C.AUTH: Refusal(401),
        _C.PERMISSION: Refusal(403),
        _C.BILLING: Refusal(402),
        _C.RATE_LIMIT: Refusal(429),
        _C.OVERLOADED: Refusal(503, words="server busy, please try again"),
        _C.LOADING: Refusal(503),  # it answers when the model is loaded
        _C.CONTEXT_LENGTH: Refusal(400),  # it cuts what is too long
        _C.CONTENT_FILTER: Refusal(400),  # it has no filter
        _C.NOT_FOUND: Refusal(404, words="not found, try pulling it first"),
        _C.UNSUPPORTED: Refusal(400, words="does not support"),
        _C.INVALID_REQUEST: Refusal(400),
        _C.CONFLICT: Refusal(409),
        _C.TIMEOUT: Refusal(504),
        _C.SERVER: Refusal(500, words="an error was encountered while running the model"),
        _C.UNKNOWN: Refusal(418),
    }

    @override
    def read(self, body: JSONDict) -> InferenceRequest:
        functions = [object_in(tool, "function") or {} for tool in objects_in(body, "tools")]
        options = (object_in(body, "options") or {}) | {"model": body.get("model")}
        names = {name: name for name in ("top_k", "min_p", "repeat_penalty")}
        return InferenceRequest(
            messages=read_chat_messages([_with_text_arguments(each) for each in objects_in(body, "messages")]),
            tools=[read_tool(function, "parameters") for function in functions],
            **read_options(options, {**SAMPLING, **names, "num_predict": "max_tokens"}),
        )

    @override
    def speech(self, asked: Asked, answer: Answer) -> Speech:
        return _OllamaSpeech(self, asked, answer)

    @override
    def frame(self, document: Document | bytes) -> bytes:
        return (document if isinstance(document, bytes) else encoded(document)) + b"\n"

    @override
    def error(self, refusal: Refusal, message: str) -> Document:
        return {"error": message}


class _OllamaSpeech(Speech):
    def __init__(self, form: OllamaFormat, asked: Asked, answer: Answer) -> None:
        super().__init__(asked, answer)
        self._form = form
        self._reason = form.finish_reason(answer)
        self._calls = 0

    @override
    def reasoning(self, piece: str) -> bytes:
        return self._line({"content": "", "thinking": piece})

    @override
    def text(self, piece: str) -> bytes:
        return self._line({"content": piece})

    @override
    def tool_call(self, call: ToolCall) -> bytes:
        return self._line({"content": "", "tool_calls": [self._call(call)]})

    @override
    def end(self) -> bytes:
        return self._form.frame(self._last({"content": ""}))

    @override
    def whole(self) -> Document:
        answer = self.answer
        message: JSONDict = {"content": "".join(answer.texts)}
        if answer.thoughts:
            message["thinking"] = "".join(answer.thoughts)
        if answer.tool_calls:
            message["tool_calls"] = [self._call(call) for call in answer.tool_calls]
        return self._last(message)

    def _call(self, call: ToolCall) -> Document:
        if call.parsed_arguments is None:
            raise ValueError(f"{self._form.name} cannot say arguments that are no JSON object: {call.arguments!r}")
        index, self._calls = self._calls, self._calls + 1
        return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.parsed_arguments}}

    def _line(self, message: Document) -> bytes:
        return self._form.frame({**self._head(message), "done": False})

    def _last(self, message: Document) -> Document:
        usage = self.answer.usage
        counts = known(prompt_eval_count=usage.input_tokens, eval_count=usage.output_tokens)
        return {**self._head(message), "done": True, "done_reason": self._reason, **counts}

    def _head(self, message: Document) -> Document:
        return {"model": self.model, "created_at": MADE, "message": {"role": "assistant", **message}}


def _with_text_arguments(message: JSONDict) -> JSONDict:
    """The message as OpenAI's chat completions would have it: there, arguments are a text."""
    calls: list[JSONDict] = []
    for call in objects_in(message, "tool_calls"):
        function = object_in(call, "function") or {}
        arguments = encoded(cast("JSONDict", function.get("arguments") or {})).decode()
        calls.append({**call, "function": {**function, "arguments": arguments}})
    return {**message, "tool_calls": calls}
