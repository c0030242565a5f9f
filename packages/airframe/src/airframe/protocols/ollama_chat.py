"""Ollama's own `/api/chat`: one JSON object a line.

    stream  {"model", "message": {"role", "content": "Hel", "thinking"?, "tool_calls"?}, "done": false}  ...
            {"message": {...}, "done": true, "done_reason": "stop", "prompt_eval_count", "eval_count", durations in ns}
    whole   the last of these, with the whole message

`"done": true` ends the stream and proves the answer; a line with `error` may come in its place. A tool call comes
whole, with its arguments as an object, and `done_reason` stays `stop`. Ollama omits a count of 0. A missing
`prompt_eval_count` is taken as unknown all the same: the prompt was in the cache, and its tokens are part of the input.
A missing `eval_count` is 0 where nothing was said, and unknown otherwise. Sources: Ollama fb30760 (August 2026), and
recordings of 0.9.3 and others (read 2026-11-20).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

from pydantic_core import to_json

from airframe.errors import BackendError, Phase, TruncatedAnswerError
from airframe.protocols.answer import AnswerDraft
from airframe.protocols.backend_error import error_in, read_error_body
from airframe.protocols.ollama_chat_request import OLLAMA, OLLAMA_ERRORS, ollama_body
from airframe.protocols.protocol import DecodeOptions, NDJSONDecoder, Protocol, Unsupported, WireRequest, body_bytes
from airframe.protocols.reading import (
    JSONDict,
    array_in,
    object_in,
    objects_in,
    parse_object,
    read_count,
    text_in,
)
from airframe.types.events import StreamEvent, ToolCallDeltaEvent
from airframe.types.json_value import JSONObject, JSONValue
from airframe.types.request import InferenceRequest
from airframe.types.result import FinishReason, InferenceResult, InferenceWarning, Usage

__all__ = ["OllamaChatProtocol"]

FINISH_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
)

_COUNTS = frozenset({"prompt_eval_count", "eval_count"})
_DURATIONS = frozenset({"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"})
_KNOWN_FIELDS = _COUNTS | _DURATIONS | {"model", "created_at", "message", "done", "done_reason", "logprobs", "error"}


class OllamaChatProtocol(Protocol):
    """The native chat API.

    Args:
        num_ctx: how many tokens of context to ask for. Ollama's default is small, and it cuts longer prompts silently.
        keep_alive: how long the model stays loaded afterwards: seconds, or a text such as `10m`; -1 is for ever.
    """

    name = "Ollama /api/chat"

    def __init__(self, *, num_ctx: int | None = None, keep_alive: str | float | None = None) -> None:
        self.num_ctx = num_ctx
        self.keep_alive = keep_alive

    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        dropped = Unsupported(self.name, request.strict)
        body = ollama_body(
            request, model=model, stream=stream, num_ctx=self.num_ctx, keep_alive=self.keep_alive, dropped=dropped
        )
        extra = {name: value for name, value in request.extra_params.items() if name != "options"}
        return WireRequest(path="/api/chat", body=body_bytes(body, extra), warnings=tuple(dropped.warnings))

    def decode(self, body: bytes, options: DecodeOptions) -> InferenceResult:
        answer = _OllamaAnswer(options, self.num_ctx)
        # A server or proxy may stream what was asked for whole. In a single document this sequence cannot occur.
        for line in body.splitlines() if b"}\n{" in body else [body]:
            if line.strip():
                answer.take(parse_object(line), [], line)
        if answer.last is None:
            raise TruncatedAnswerError("the answer does not say that it is done", phase=Phase.CONTENT)
        return answer.result()

    def stream_decoder(self, options: DecodeOptions) -> NDJSONDecoder:
        return _OllamaDecoder(_OllamaAnswer(options, self.num_ctx), options)

    def classify_error(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        return OLLAMA_ERRORS.error(read_error_body(body), status=status, headers=headers, raw=body)


class _OllamaDecoder(NDJSONDecoder):
    def __init__(self, answer: _OllamaAnswer, options: DecodeOptions) -> None:
        super().__init__(options)
        self._answer = answer

    def line(self, line: bytes, out: list[StreamEvent]) -> None:
        document = parse_object(line)
        self.progress += 1
        self._answer.take(document, out, line)
        self.proven = self.complete = self._answer.last is not None

    def result(self) -> InferenceResult:
        return self._answer.result()


class _OllamaAnswer:
    """What was said so far, and the document that ended it."""

    def __init__(self, options: DecodeOptions, num_ctx: int | None) -> None:
        self.last: JSONDict | None = None
        self._draft = AnswerDraft(issuer=OLLAMA.name, options=options)
        self._num_ctx = num_ctx
        self._model: str | None = None
        self._logprobs: list[JSONValue] = []
        self._extra: JSONDict = {}

    def take(self, document: JSONDict, out: list[StreamEvent], raw: bytes) -> None:
        """Read one document and append its events. Raises `BackendError` for an error in place of an answer."""
        if document.get("error"):
            raise OLLAMA_ERRORS.error(error_in(document), status=200, headers={}, raw=raw)
        self._model = text_in(document, "model") or self._model
        self._logprobs += cast("list[JSONValue]", array_in(document, "logprobs"))
        if message := object_in(document, "message"):
            self._message(message, out)
        self._extra |= {key: value for key, value in document.items() if key not in _KNOWN_FIELDS}
        if document.get("done") is True:
            self._draft.end_text(out)
            self.last = document

    def result(self) -> InferenceResult:
        last = self.last
        warnings = list(self._draft.warnings())
        answer = InferenceResult(
            content=self._draft.content(complete=last is not None),
            model=self._model,
            logprobs=self._logprobs or None,
            warnings=warnings,
            extra=cast("JSONObject", self._extra),
        )
        if last is None:
            return answer
        raw_reason = text_in(last, "done_reason")
        usage = self._usage(last, warnings)
        return replace(
            answer,
            finish_reason=self._finish_reason(raw_reason),
            raw_finish_reason=raw_reason,
            usage=usage,
            warnings=tuple(warnings),
            timings=cast("JSONObject", {key: last[key] for key in last if key in _DURATIONS}) or None,
        )

    def _message(self, message: JSONDict, out: list[StreamEvent]) -> None:
        if thinking := text_in(message, "thinking"):
            self._draft.reasoning(thinking, out)
        if text := text_in(message, "content"):
            self._draft.text(text, out)
        for raw_call in objects_in(message, "tool_calls"):
            self._draft.end_text(out)
            function = object_in(raw_call, "function") or {}
            call = self._draft.new_tool_call(text_in(raw_call, "id") or None, text_in(function, "name"))
            arguments = function.get("arguments")
            piece = arguments if isinstance(arguments, str) else to_json(arguments or {}).decode()
            call.pieces.append(piece)
            out.append(ToolCallDeltaEvent(call.position, call.id, call.name, piece))

    def _finish_reason(self, raw: str | None) -> FinishReason:
        reason = FINISH_REASONS.get(raw or "", FinishReason.UNKNOWN)
        return FinishReason.TOOL_CALLS if reason is FinishReason.STOP and self._draft.tool_calls else reason

    def _usage(self, last: JSONDict, warnings: list[InferenceWarning]) -> Usage:
        input_tokens = read_count(last, "prompt_eval_count", warnings)
        output_tokens = read_count(last, "eval_count", warnings)
        if "eval_count" not in last and "total_duration" in last and self._draft.empty:
            output_tokens = 0
        if input_tokens is not None and self._num_ctx is not None and input_tokens >= self._num_ctx:
            warnings.append(
                InferenceWarning("messages", f"the prompt fills the context of {self._num_ctx} tokens: Ollama cut it")
            )
        return Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            total_tokens=None if input_tokens is None or output_tokens is None else input_tokens + output_tokens,
            raw=cast("JSONObject", {key: last[key] for key in last if key in _COUNTS}),
        )
