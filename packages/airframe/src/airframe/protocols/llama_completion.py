"""llama.cpp's own `/completion`: a prompt in, text out.

    stream  data: {"content": " from", "stop": false, ...}
            data: {"content": "", "stop": true, "stop_type": "eos", "tokens_evaluated": 21, "tokens_predicted": 20,
                "timings": {...}}
    whole   the last of these, with the whole text as its content

There is no `[DONE]`: `"stop": true` ends the stream and proves the answer. The prompt is what the server's own chat
template makes of the messages (`/apply-template`), never a join of ours. Source: llama.cpp 0c1e570, recorded
2026-11-20.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

from airframe.errors import BackendError, MalformedAnswerError, Phase
from airframe.protocols.answer import AnswerDraft
from airframe.protocols.backend_error import error_in, read_error_body
from airframe.protocols.chat_dialect import LLAMA_ERRORS, LLAMA_SERVER, ChatDialect
from airframe.protocols.framing import SSEFrame
from airframe.protocols.openai_chat_request import chat_messages, drop_unknown_fields
from airframe.protocols.protocol import DecodeOptions, Protocol, SSEDecoder, Unsupported, WireRequest, body_bytes
from airframe.protocols.reading import JSONDict, object_in, objects_in, parse_object, read_count, text_in
from airframe.types.events import StreamEvent
from airframe.types.json_value import JSONObject, JSONValue
from airframe.types.messages import AudioPart, FilePart, ImagePart, Message
from airframe.types.request import InferenceRequest, JSONSchemaFormat
from airframe.types.result import FinishReason, InferenceResult, InferenceWarning, Usage

__all__ = ["LlamaCompletionProtocol"]

FINISH_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {"eos": FinishReason.STOP, "word": FinishReason.STOP, "limit": FinishReason.LENGTH}
)

# Besides what is read: what was asked, said back, and where it ran.
_KNOWN_FIELDS = frozenset(
    {
        "content",
        "tokens",
        "tokens_cached",
        "tokens_evaluated",
        "tokens_predicted",
        "stop",
        "stop_type",
        "truncated",
        "model",
        "timings",
        "completion_probabilities",
        "prompt",
        "generation_settings",
        "index",
        "id_slot",
        "has_new_line",
    }
)

_DIALECT = ChatDialect(
    name="llama_server",
    fields={
        name: name
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "repeat_penalty",
            "presence_penalty",
            "frequency_penalty",
            "seed",
        )
    }
    | {"top_logprobs": "n_probs"},
    reasoning_field="reasoning_content",
    errors=LLAMA_ERRORS,
)


class LlamaCompletionProtocol(Protocol):
    """The native completion API."""

    name = "llama.cpp /completion"

    def encode_template(self, request: InferenceRequest) -> WireRequest:
        """The request that turns messages into a prompt."""
        dropped = Unsupported(self.name, request.strict)
        messages = [_without_media(message, dropped) for message in request.messages]
        body: JSONDict = {"messages": chat_messages(messages, LLAMA_SERVER, dropped)}
        if request.reasoning is not None and request.reasoning.enabled is not None:
            body["chat_template_kwargs"] = {"enable_thinking": request.reasoning.enabled}
        return WireRequest(path="/apply-template", body=body_bytes(body, {}), warnings=tuple(dropped.warnings))

    def decode_template(self, body: bytes) -> str:
        """The prompt. Raises `MalformedAnswerError`."""
        prompt = text_in(parse_object(body), "prompt")
        if prompt is None:
            raise MalformedAnswerError("/apply-template answered without a prompt", phase=Phase.CONTENT)
        return prompt

    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        """The completion of the last message's text as it stands; `encode_prompt` is the one for conversations."""
        return self.encode_prompt(request, request.messages[-1].text, model=model, stream=stream)

    def encode_prompt(self, request: InferenceRequest, prompt: str, *, model: str | None, stream: bool) -> WireRequest:
        """The completion of `prompt`, under the options of `request`."""
        dropped = Unsupported(self.name, request.strict)
        body: JSONDict = {"prompt": prompt, "stream": stream, "cache_prompt": True}
        if model is not None:
            body["model"] = model
        body |= drop_unknown_fields(request, _DIALECT, dropped, said_elsewhere=("logprobs",))
        if request.logprobs and not request.top_logprobs:
            body["n_probs"] = 1
        if request.max_tokens is not None:
            body["n_predict"] = request.max_tokens
        if request.stop:
            body["stop"] = list(request.stop)
        if isinstance(request.response_format, JSONSchemaFormat):
            body["json_schema"] = request.response_format.schema
            if request.response_format.description is not None:
                dropped.drop("response_format.description", "the schema binds, and is not shown to the model")
        elif request.response_format == "json":
            body["json_schema"] = {"type": "object"}
        if request.tools:
            dropped.drop("tools", "it answers with plain text; use api_type='openai'")
        if request.tool_choice not in {None, "none", "auto"}:
            dropped.drop("tool_choice")
        for name in ("effort", "budget_tokens", "summary"):
            if getattr(request.reasoning, name, None) is not None:
                dropped.drop(f"reasoning.{name}")
        return WireRequest(
            path="/completion", body=body_bytes(body, request.extra_params), warnings=tuple(dropped.warnings)
        )

    def decode(self, body: bytes, options: DecodeOptions) -> InferenceResult:
        document = parse_object(body)
        answer = _Completion(options)
        answer.take(document, [], body)
        if answer.last is None:
            raise MalformedAnswerError("the answer does not say that it stopped", phase=Phase.CONTENT)
        return answer.result()

    def stream_decoder(self, options: DecodeOptions) -> SSEDecoder:
        return _CompletionDecoder(options)

    def classify_error(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        return LLAMA_ERRORS.error(read_error_body(body), status=status, headers=headers, raw=body)


def _without_media(message: Message, dropped: Unsupported) -> Message:
    """The message without what `/apply-template` leaves as a mark in the prompt, behind which nothing would stand."""
    media = [part for part in message.parts if isinstance(part, ImagePart | AudioPart | FilePart)]
    if message.role == "assistant" or not media:
        return message
    for part in media:
        dropped.drop(type(part).__name__, "a prompt is text; use api_type='openai'")
    return replace(message, content=[part for part in message.parts if part not in media])


class _CompletionDecoder(SSEDecoder):
    def __init__(self, options: DecodeOptions) -> None:
        super().__init__(options)
        self._completion = _Completion(options)

    def frame(self, frame: SSEFrame, out: list[StreamEvent]) -> None:
        document = parse_object(frame.data)
        if frame.event == b"error" and not document.get("error"):
            document = JSONDict(error=document)
        self.progress += 1
        self._completion.take(document, out, frame.data)
        self.proven = self.complete = self._completion.last is not None

    def result(self) -> InferenceResult:
        return self._completion.result()


class _Completion:
    """The text so far, the newest document, and the one that ended the answer."""

    def __init__(self, options: DecodeOptions) -> None:
        self._draft = AnswerDraft(issuer="llama_server", options=options)
        self._newest: JSONDict = {}
        self._logprobs: list[JSONValue] = []
        self.last: JSONDict | None = None

    def take(self, document: JSONDict, out: list[StreamEvent], raw: bytes) -> None:
        if document.get("error"):
            raise LLAMA_ERRORS.error(error_in(document), status=200, headers={}, raw=raw)
        if text := text_in(document, "content"):
            self._draft.text(text, out)
        self._logprobs += cast("list[JSONValue]", objects_in(document, "completion_probabilities"))
        self._newest = document
        if document.get("stop") is True:
            self._draft.end_text(out)
            self.last = document

    def result(self) -> InferenceResult:
        newest, ended = self._newest, self.last is not None
        warnings = list(self._draft.warnings())
        if newest.get("truncated") is True:
            warnings.append(
                InferenceWarning("messages", "the server cut the beginning of the prompt to fit its context")
            )
        usage = _usage(newest, warnings)
        raw_reason = text_in(newest, "stop_type") if ended else None
        reason = self._draft.finish_reason(FINISH_REASONS.get(raw_reason or "", FinishReason.UNKNOWN))
        return InferenceResult(
            content=self._draft.content(complete=ended),
            finish_reason=reason if ended else None,
            raw_finish_reason=raw_reason,
            usage=usage,
            model=text_in(newest, "model"),
            logprobs=self._logprobs or None,
            warnings=tuple(warnings),
            timings=cast("JSONObject | None", object_in(newest, "timings")),
            extra=cast("JSONObject", {key: newest[key] for key in newest.keys() - _KNOWN_FIELDS}),
        )


def _usage(document: JSONDict, warnings: list[InferenceWarning]) -> Usage:
    """The counts, which every piece of a stream carries."""
    input_tokens = read_count(document, "tokens_evaluated", warnings)
    output_tokens = read_count(document, "tokens_predicted", warnings)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=None if input_tokens is None or output_tokens is None else input_tokens + output_tokens,
        cache_read_tokens=read_count(object_in(document, "timings"), "cache_n", warnings),
        raw=cast("JSONObject", {key: document[key] for key in document if key.startswith("tokens_")}),
    )
