"""OpenAI's chat completions, and the many servers that speak them.

    whole   {"id", "model", "choices": [{"message": {"content", "tool_calls", ...}, "finish_reason"}], "usage"}
    stream  data: {"choices": [{"delta": {"content": "Hel"}, "finish_reason": null}]}  ...
            data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}
            data: {"choices": [], "usage": {...}}
            data: [DONE]

An answer is proven whole by a finish reason. `[DONE]` is only the end of the stream: some servers never send it, and
Ollama sends it without a finish reason, which then is unknown. Sources: openai 3.51.0 types, recorded traffic (read
2026-11-20).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import cast

from pydantic_core import from_json

from airframe.errors import BackendError, MalformedAnswerError, Phase, TruncatedAnswerError
from airframe.protocols.answer import AnswerDraft, ToolCallDraft
from airframe.protocols.backend_error import error_in, read_error_body
from airframe.protocols.chat_dialect import OPENAI, ChatDialect
from airframe.protocols.framing import SSEFrame
from airframe.protocols.openai_chat_request import chat_body
from airframe.protocols.protocol import DecodeOptions, Protocol, SSEDecoder, Unsupported, WireRequest, body_bytes
from airframe.protocols.reading import (
    JSONDict,
    excerpt,
    object_in,
    objects_in,
    parse_object,
    read_annotation,
    read_cost,
    read_tier,
    read_usage,
    text_in,
    whole_number_in,
)
from airframe.protocols.reasoning_details import ReasoningDetails
from airframe.protocols.text_slot import Refrain, Say
from airframe.types.events import StreamEvent, ToolCallDeltaEvent
from airframe.types.json_value import JSONObject, JSONValue
from airframe.types.messages import AudioPart, Part, ReasoningPart, RefusalPart, ToolCall
from airframe.types.request import InferenceRequest
from airframe.types.result import Annotation, FinishReason, InferenceResult, InferenceWarning, Usage

__all__ = ["OpenAIChatProtocol"]

FINISH_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {
        "stop": FinishReason.STOP,
        "eos": FinishReason.STOP,  # Together, recorded
        "length": FinishReason.LENGTH,
        "tool_calls": FinishReason.TOOL_CALLS,
        "tool_call": FinishReason.TOOL_CALLS,  # DeepSeek on Azure, recorded
        "function_call": FinishReason.TOOL_CALLS,
        "content_filter": FinishReason.CONTENT_FILTER,
        "error": FinishReason.ERROR,
    }
)

_REASONING_FIELDS = ("reasoning_content", "reasoning")  # DeepSeek, llama-server, xAI; Groq, Ollama, mlx, OpenRouter
_KNOWN_CHOICE_FIELDS = frozenset({"index", "delta", "message", "logprobs", "finish_reason", "error"})
_KNOWN_MESSAGE_FIELDS = frozenset(
    {
        *_REASONING_FIELDS,
        "role",
        "content",
        "refusal",
        "tool_calls",
        "function_call",  # the older form, which llama-cpp-python sends beside tool_calls
        "annotations",
        "audio",
        "reasoning_details",
        "padding",  # random, against guessing at the length
    }
)
_NATIVE_LIMITS = frozenset({"length", "max_output_tokens", "max_tokens", "MAX_TOKENS"})
"""What `native_finish_reason` (OpenRouter) says of an answer that was cut, in the words of the model's provider."""
_KNOWN_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage", "timings", "error", "obfuscation"})


class OpenAIChatProtocol(Protocol):
    """Chat completions in the dialect of one kind of server."""

    def __init__(self, dialect: ChatDialect = OPENAI) -> None:
        self.name = f"chat completions ({dialect.name})"
        self.dialect = dialect

    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        dropped = Unsupported(self.name, request.strict)
        body = chat_body(request, model=model, stream=stream, dialect=self.dialect, dropped=dropped)
        return WireRequest(
            path="/chat/completions", body=body_bytes(body, request.extra_params), warnings=tuple(dropped.warnings)
        )

    def decode(self, body: bytes, options: DecodeOptions) -> InferenceResult:
        document = parse_object(body)
        answer = _ChatAnswer(self.dialect, options)
        answer.take(document, "message", [], body)
        if not answer.choice_seen:
            raise MalformedAnswerError("the answer has no choices", phase=Phase.CONTENT, body=excerpt(body))
        if answer.raw_finish_reason is None and answer.draft.empty:
            raise TruncatedAnswerError("the answer has neither content nor a finish reason", phase=Phase.CONTENT)
        return answer.result(ended=True)

    def stream_decoder(self, options: DecodeOptions) -> SSEDecoder:
        return _ChatStreamDecoder(self.dialect, options)

    def classify_error(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        return self.dialect.errors.error(read_error_body(body), status=status, headers=headers, raw=body)


class _ChatStreamDecoder(SSEDecoder):
    def __init__(self, dialect: ChatDialect, options: DecodeOptions) -> None:
        super().__init__(options)
        self._answer = _ChatAnswer(dialect, options)
        self._refrain = Refrain()
        self._done = False

    def frame(self, frame: SSEFrame, out: list[StreamEvent]) -> None:
        data = frame.data
        if not frame.event and self._refrain.take(data, out):
            self.progress += 1
            return
        if data.startswith(b"[DONE]") or data.strip() == b"[DONE]":
            if self._answer.draft.empty and not self.proven:
                raise TruncatedAnswerError("the stream ended without an answer: [DONE] came first", phase=Phase.CONTENT)
            self._answer.draft.end_text(out)
            self._done = self.complete = True
            return
        chunk = parse_object(data)
        if frame.event == b"error" and not chunk.get("error"):
            chunk = JSONDict(error=chunk)
        self.progress += 1
        self._answer.take(chunk, "delta", out, data)
        self.proven = self._answer.raw_finish_reason is not None
        if self._refrain.wanted and not frame.event and (only := self._answer.only_text(chunk)):
            self._refrain.learn(data, chunk, *only)

    def result(self) -> InferenceResult:
        return self._answer.result(ended=self.proven or self._done)


class _ChatAnswer:
    """What an answer says, taken from one whole document or from many chunks: they differ only in being cut."""

    def __init__(self, dialect: ChatDialect, options: DecodeOptions) -> None:
        self.draft = AnswerDraft(issuer=dialect.name, options=options)
        self.choice_seen = False
        self.raw_finish_reason: str | None = None
        self._dialect = dialect
        self._calls = _ToolCallIndex(self.draft)
        self._usage: JSONDict | None = None
        self._timings: JSONObject | None = None
        self._model: str | None = None
        self._id: str | None = None
        self._logprobs: list[JSONValue] = []
        self._annotations: list[Annotation] = []
        self._details = ReasoningDetails()
        self._audio: _AudioDraft | None = None
        self._extra: JSONDict = {}
        self._warnings: list[InferenceWarning] = []

    def take(self, document: JSONDict, message_key: str, out: list[StreamEvent], raw: bytes) -> None:
        """Read one document and append its events. Raises `BackendError` for an error in place of an answer."""
        if document.get("error"):
            raise self._error(document, raw)
        self._model = text_in(document, "model") or self._model
        self._id = text_in(document, "id") or self._id
        if usage := object_in(document, "usage"):
            self._usage = usage
        if timings := object_in(document, "timings"):
            self._timings = cast("JSONObject", timings)
        for choice in objects_in(document, "choices"):
            if choice.get("index") not in {0, None}:
                self._warn_once("choices", "the backend sent several answers; only the first is read")
                continue
            self.choice_seen = True
            if choice.get("error"):
                raise self._error(choice, raw)
            if message := object_in(choice, message_key):
                self._message(message, out, whole=message_key == "message")
                if blocks := objects_in(message, "reasoning_details"):
                    (self._details.take if message_key == "message" else self._details.merge)(blocks)
            self._finish(choice, out, raw)
            self._keep(choice, _KNOWN_CHOICE_FIELDS)
        self._keep(document, _KNOWN_FIELDS)

    def only_text(self, chunk: JSONDict) -> tuple[JSONDict, str, Say] | None:
        """Where the text of a chunk is that holds nothing else to be taken, and what takes more of it."""
        choices = objects_in(chunk, "choices")
        if len(choices) != 1 or any(choices[0].get(key) for key in ("index", "logprobs", "finish_reason")):
            return None
        delta = object_in(choices[0], "delta") or {}
        said = {key: value for key, value in delta.items() if value and key != "role"}
        if len(said) == 1:
            match said:
                case {"content": str()}:
                    return delta, "content", self.draft.text
                case {"reasoning_content": str()}:
                    return delta, "reasoning_content", self.draft.reasoning
                case {"reasoning": str()}:
                    return delta, "reasoning", self.draft.reasoning
                case {"tool_calls": [{"function": {"arguments": str()}}]}:
                    return self._only_arguments(delta)
                case _:
                    pass
        return None

    def result(self, *, ended: bool) -> InferenceResult:
        warnings = [*self._warnings, *self.draft.warnings()]
        return InferenceResult(
            content=self._content(complete=ended),
            finish_reason=self._finish_reason() if ended else None,
            raw_finish_reason=self.raw_finish_reason,
            usage=read_usage(self._usage, warnings) if self._usage else Usage(),
            model=self._model,
            response_id=self._id,
            annotations=tuple(self._annotations),
            logprobs=self._logprobs or None,
            reported_cost=read_cost(self._usage),
            service_tier=read_tier(self._extra, self._usage),
            warnings=tuple(warnings),
            timings=self._timings,
            extra=cast("JSONObject", self._extra),
        )

    def _content(self, *, complete: bool) -> tuple[Part, ...]:
        """The parts; the blocks of the whole message's reasoning are noted on its first thought."""
        if self._audio is not None:
            self._audio.settle()
        content = self.draft.content(complete=complete)
        blocks = self._details.blocks()
        if not blocks:
            return content
        for position, part in enumerate(content):
            if isinstance(part, ReasoningPart):
                return (*content[:position], replace(part, raw=blocks), *content[position + 1 :])
        return (ReasoningPart(issuer=self._dialect.name, raw=blocks), *content)

    def _keep(self, owner: JSONDict, known: frozenset[str]) -> None:
        """Keep what is not understood. Azure says of each piece what its filters found, and nothing of some."""
        if owner.keys() <= known:
            return
        for key in owner.keys() - known:
            value, before = owner[key], self._extra.get(key)
            if isinstance(value, dict) and isinstance(before, dict):
                value = cast("JSONDict", before) | cast("JSONDict", value)
            if value not in ({}, [], None) or key not in self._extra:
                self._extra[key] = value

    def _message(self, message: JSONDict, out: list[StreamEvent], *, whole: bool) -> None:
        if len(message) == 1 and isinstance(text := message.get("content"), str):  # what nearly all deltas are
            if text:
                self.draft.text(text, out)
            return
        for name in _REASONING_FIELDS:
            if reasoning := text_in(message, name):
                self.draft.reasoning(reasoning, out)
                break
        if isinstance(message.get("content"), list):
            self._blocks(objects_in(message, "content"), out)
        elif text := text_in(message, "content"):
            self.draft.text(text, out)
        if audio := object_in(message, "audio"):
            self._audio = self._audio or _AudioDraft(self.draft)
            self._audio.take(audio)
        if refusal := text_in(message, "refusal"):
            self.draft.refusal(refusal)
        if deltas := objects_in(message, "tool_calls"):
            self.draft.end_text(out)
            calls = self._calls.whole(deltas) if whole else self._calls.pieces(deltas)
            for delta, call in zip(deltas, calls, strict=True):
                self._tool_call(delta, call, out)
        for annotation in objects_in(message, "annotations"):
            self._annotations.append(read_annotation(annotation))
        self._keep(message, _KNOWN_MESSAGE_FIELDS)

    def _blocks(self, blocks: Sequence[JSONDict], out: list[StreamEvent]) -> None:
        """Content as Mistral sends it of models that think: blocks of text, and of text inside a thought."""
        for block in blocks:
            match text_in(block, "type"):
                case "text":
                    self.draft.text(text_in(block, "text") or "", out)
                case "thinking":
                    for thought in objects_in(block, "thinking"):
                        self.draft.reasoning(text_in(thought, "text") or "", out)
                case kind:
                    self._warn_once("content", f"a block of type {kind!r} is not understood; see extra")
                    self._extra["content"] = [*cast("list[object]", self._extra.get("content", [])), block]

    def _tool_call(self, delta: JSONDict, call: ToolCallDraft, out: list[StreamEvent]) -> None:
        function = object_in(delta, "function") or {}
        call.name = call.name or text_in(function, "name") or None
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # Ollama, and some servers that follow it
            piece = body_bytes(cast("JSONDict", arguments), {}).decode()
        else:
            piece = text_in(function, "arguments") or ""
        if piece:
            call.pieces.append(piece)
        out.append(ToolCallDeltaEvent(call.position, call.id, call.name, piece))

    def _only_arguments(self, delta: JSONDict) -> tuple[JSONDict, str, Say] | None:
        (piece,) = objects_in(delta, "tool_calls")
        function = object_in(piece, "function") or {}
        call = self._calls.last
        if call is None or piece.get("id") or function.get("name"):
            return None

        def say(arguments: str, out: list[StreamEvent]) -> None:
            call.pieces.append(arguments)
            out.append(ToolCallDeltaEvent(call.position, call.id, call.name, arguments))

        return function, "arguments", say

    def _finish(self, choice: JSONDict, out: list[StreamEvent], raw: bytes) -> None:
        logprobs = object_in(choice, "logprobs")
        if logprobs is not None:
            self._logprobs += cast("list[JSONValue]", objects_in(logprobs, "content"))
        if not (reason := text_in(choice, "finish_reason")):  # None, and "" which some servers send until the end
            return
        if reason == "error":
            raise self._error(choice, raw)
        self.raw_finish_reason = self.raw_finish_reason or reason  # OpenRouter says it twice
        self.draft.end_text(out)

    def _finish_reason(self) -> FinishReason:
        raw = self.raw_finish_reason
        reason = FINISH_REASONS.get(raw, FinishReason.UNKNOWN) if raw else FinishReason.UNKNOWN
        content = self.draft.content(complete=True)
        if reason is FinishReason.STOP and any(isinstance(part, RefusalPart) for part in content):
            return FinishReason.REFUSAL
        if reason is FinishReason.TOOL_CALLS and (
            self._dialect.cut_calls_are_calls or self._extra.get("native_finish_reason") in _NATIVE_LIMITS
        ):
            # OpenRouter and llama-cpp-python call it so even when the arguments are cut (recorded).
            cut = any(isinstance(part, ToolCall) and part.parsed_arguments is None for part in content)
            return FinishReason.LENGTH if cut else reason
        return self.draft.finish_reason(reason)

    def _error(self, document: JSONDict, raw: bytes) -> BackendError:
        return self._dialect.errors.error(error_in(document), status=200, headers={}, raw=raw)

    def _warn_once(self, subject: str, message: str) -> None:
        warning = InferenceWarning(subject, message)
        if warning not in self._warnings:
            self._warnings.append(warning)


class _AudioDraft:
    """What a model says aloud: sound in base64, and its transcript, both in pieces."""

    def __init__(self, draft: AnswerDraft) -> None:
        self._id: str | None = None
        self._sound: list[bytes] = []
        self._transcript: list[str] = []
        self._part = draft.add(AudioPart(id=""))

    def take(self, audio: JSONDict) -> None:
        self._id = text_in(audio, "id") or self._id
        self._transcript.append(text_in(audio, "transcript") or "")
        try:
            self._sound.append(b64decode(text_in(audio, "data") or "", validate=True))
        except ValueError as error:
            raise MalformedAnswerError(
                f"the backend sent audio that is no base64: {error}", phase=Phase.CONTENT
            ) from None

    def settle(self) -> None:
        self._part.settled = AudioPart(
            data=b"".join(self._sound), id=self._id or "", transcript="".join(self._transcript) or None
        )


class _ToolCallIndex:
    """Finds the call to which a piece belongs.

    The rule is `index`. Servers break it in every way: no index, the same index for two calls, counting from 1, a
    whole call in one piece, ids and names repeated on each piece or missing. Pieces of two calls must never be merged,
    so whatever can only belong to another call begins one.
    """

    def __init__(self, draft: AnswerDraft) -> None:
        self._draft = draft
        self._by_index: dict[int, ToolCallDraft] = {}
        self.last: ToolCallDraft | None = None
        """The call to which the last piece belonged."""

    def whole(self, calls: Sequence[JSONDict]) -> Iterator[ToolCallDraft]:
        """In a whole message each entry is a call."""
        return (self._draft.new_tool_call(text_in(call, "id") or None) for call in calls)

    def pieces(self, deltas: Sequence[JSONDict]) -> Iterator[ToolCallDraft]:
        """The calls to which the pieces of one chunk belong."""
        among_these: list[ToolCallDraft] = []
        for delta in deltas:
            index, id = whole_number_in(delta, "index"), text_in(delta, "id") or None
            function = object_in(delta, "function") or {}
            name = text_in(function, "name") or None
            known = self._by_index.get(index) if index is not None else self._without_index(id, name)
            if known is not None and index is None and name and known in among_these:
                known = None
            if known is None or _begins_another(known, id, name, function.get("arguments")):
                known = self._draft.new_tool_call(id)
            known.id = known.id or id
            if index is not None:
                self._by_index[index] = known
            self.last = known
            among_these.append(known)
            yield known

    def _without_index(self, id: str | None, name: str | None) -> ToolCallDraft | None:
        if id:
            return next((call for call in self._draft.tool_calls if call.id == id), None)
        # Without id and index, a name can only begin a call, and bare arguments only go on with one.
        return None if name else self.last


def _begins_another(known: ToolCallDraft, id: str | None, name: str | None, arguments: object) -> bool:
    """Whether a piece cannot belong to `known`: by its id; where the server sends none, by its name and arguments."""
    if id and known.id:
        return id != known.id
    if known.id or not name or not known.name:
        return False
    return name != known.name or (bool(arguments) and _is_object("".join(known.pieces)))


def _is_object(text: str) -> bool:
    try:
        return isinstance(from_json(text), dict)
    except ValueError:
        return False
