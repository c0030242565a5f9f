"""Anthropic's Messages, and the servers that speak them too.

    whole   {"type": "message", "id", "model", "content": [block, ...], "stop_reason", "usage"}
    stream  message_start        {"message": {... "content": [], "usage"}}
            content_block_start  {"index", "content_block": {"type", ...}}
            content_block_delta  {"index", "delta": {"type": "text_delta", "text": "Hi"}} ...
            content_block_stop   {"index"}
            message_delta        {"delta": {"stop_reason", ...}, "usage"}
            message_stop

An answer is whole when `message_stop` has come, and not before. Blocks are named by their index; several may be open
at once, and llama-server closes them late. Pings may stand anywhere and show nothing. Sources: types of anthropic
2.10.0, recorded traffic (read 2026-11-20).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from pydantic_core import from_json

from airframe.errors import BackendError, MalformedAnswerError, Phase, TruncatedAnswerError
from airframe.protocols.answer import AnswerDraft, PartDraft, ToolCallDraft
from airframe.protocols.anthropic_errors import ANTHROPIC_ERRORS, anthropic_error
from airframe.protocols.anthropic_messages_request import (
    DEFAULT_MAX_TOKENS,
    ISSUER,
    AnthropicVersion,
    count_body,
    messages_body,
)
from airframe.protocols.backend_error import read_error_body
from airframe.protocols.framing import SSEFrame
from airframe.protocols.protocol import DecodeOptions, Protocol, SSEDecoder, Unsupported, WireRequest, body_bytes
from airframe.protocols.reading import (
    JSONDict,
    excerpt,
    object_in,
    objects_in,
    parse_object,
    read_cost,
    read_count,
    read_tier,
    text_in,
    whole_number_in,
)
from airframe.types.events import StreamEvent, ToolCallDeltaEvent
from airframe.types.json_value import JSONObject
from airframe.types.messages import HostedToolPart, Part, ReasoningPart, SearchHit, TextPart
from airframe.types.request import InferenceRequest
from airframe.types.result import Annotation, FinishReason, InferenceResult, InferenceWarning, Usage

__all__ = ["AnthropicMessagesProtocol"]

_FINISH_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {
        "end_turn": FinishReason.STOP,
        "stop_sequence": FinishReason.STOP,
        "max_tokens": FinishReason.LENGTH,
        "model_context_window_exceeded": FinishReason.LENGTH,
        "tool_use": FinishReason.TOOL_CALLS,
        "refusal": FinishReason.REFUSAL,
        "pause_turn": FinishReason.PAUSE,
        "compaction": FinishReason.PAUSE,  # beta: paused behind the summary of what came before
    }
)

_READ_FIELDS = frozenset({"id", "type", "role", "model", "content", "stop_reason", "usage"})


class AnthropicMessagesProtocol(Protocol):
    """Messages, in one version of the API.

    Args:
        version: which fields may be sent; the header itself is the adapter's.
        default_max_tokens: for requests that set no `max_tokens`.
    """

    name = "Anthropic Messages"

    def __init__(
        self, *, version: AnthropicVersion = "2026-10-21", default_max_tokens: int = DEFAULT_MAX_TOKENS
    ) -> None:
        self.version: AnthropicVersion = version
        self.default_max_tokens = default_max_tokens

    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        dropped = Unsupported(self.name, request.strict)
        body = self._body(request, model, stream, dropped)
        return WireRequest(
            path="/messages", body=body_bytes(body, request.extra_params), warnings=tuple(dropped.warnings)
        )

    def encode_count(self, request: InferenceRequest, *, model: str | None) -> WireRequest:
        """The question how many tokens `request` would cost. Raises `InvalidRequestError`."""
        dropped = Unsupported(self.name, request.strict)
        body = {**self._body(request, model, False, dropped), **request.extra_params}
        return WireRequest(
            path="/messages/count_tokens", body=body_bytes(count_body(body), {}), warnings=tuple(dropped.warnings)
        )

    def decode(self, body: bytes, options: DecodeOptions) -> InferenceResult:
        document = parse_object(body)
        if document.get("type") == "error" or document.get("error"):
            raise anthropic_error(document, status=200, headers={}, raw=body)
        if not isinstance(document.get("content"), list):
            raise MalformedAnswerError("the answer has no content blocks", phase=Phase.CONTENT, body=excerpt(body))
        answer = _MessageAnswer(options)
        answer.take_whole(document)
        if answer.raw_finish_reason is None and answer.draft.empty:
            raise TruncatedAnswerError("the answer has neither content nor a stop reason", phase=Phase.CONTENT)
        return answer.result(ended=True)

    def decode_count(self, body: bytes) -> int:
        """The answer to `encode_count`. Raises `MalformedAnswerError`."""
        count = read_count(parse_object(body), "input_tokens", [])
        if count is None:
            raise MalformedAnswerError("the backend counted no input_tokens", phase=Phase.CONTENT, body=excerpt(body))
        return count

    def stream_decoder(self, options: DecodeOptions) -> SSEDecoder:
        return _MessageStreamDecoder(options)

    def classify_error(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        try:
            document = parse_object(body)
        except MalformedAnswerError:
            return ANTHROPIC_ERRORS.error(read_error_body(body), status=status, headers=headers, raw=body)
        return anthropic_error(document, status=status, headers=headers, raw=body)

    def _body(self, request: InferenceRequest, model: str | None, stream: bool, dropped: Unsupported) -> JSONDict:
        return messages_body(
            request,
            model=model,
            stream=stream,
            version=self.version,
            default_max_tokens=self.default_max_tokens,
            dropped=dropped,
        )


class _MessageStreamDecoder(SSEDecoder):
    def __init__(self, options: DecodeOptions) -> None:
        super().__init__(options)
        self._answer = _MessageAnswer(options)

    def frame(self, frame: SSEFrame, out: list[StreamEvent]) -> None:
        if frame.data.startswith(b"[DONE]"):  # OpenRouter ends this format with OpenAI's mark, too
            return
        event = parse_object(frame.data)
        kind = text_in(event, "type") or frame.event.decode("utf-8", "replace")
        if kind == "error" or frame.event == b"error" or event.get("error") or isinstance(event.get("message"), str):
            raise anthropic_error(event, status=200, headers={}, raw=frame.data)
        if kind == "ping":
            return
        self.progress += 1
        answer = self._answer
        match kind:
            case "message_start":
                answer.begin(object_in(event, "message") or {})
            case "content_block_start":
                answer.open_block(event, out)
            case "content_block_delta":
                answer.block_delta(event, out)
            case "content_block_stop":
                answer.close_block(event, out)
            case "message_delta":
                answer.message_delta(event)
            case "message_stop":
                answer.end(out)
                self.proven = self.complete = True
            case _:
                pass  # the vendor reserves the right to add events

    def result(self) -> InferenceResult:
        return self._answer.result(ended=self.proven)


@dataclass(slots=True)
class _Block:
    """A content block as it began, and what has come since."""

    raw: JSONDict
    part: PartDraft | None = None
    call: ToolCallDraft | None = None
    signature: str | None = None
    citations: list[JSONDict] = field(default_factory=list[JSONDict])
    input: list[str] = field(default_factory=list[str])
    open: bool = True


class _MessageAnswer:
    """What an answer says, taken from one whole message or from many events: they differ only in being cut."""

    def __init__(self, options: DecodeOptions) -> None:
        self.draft = AnswerDraft(issuer=ISSUER, options=options)
        self.raw_finish_reason: str | None = None
        self._marked_up = options.markup != "none"
        self._blocks: list[_Block] = []
        self._by_index: dict[int, _Block] = {}
        self._begun = False
        self._id: str | None = None
        self._model: str | None = None
        self._usage: JSONDict = {}
        self._extra: JSONDict = {}
        self._warnings: list[InferenceWarning] = []

    def take_whole(self, message: JSONDict) -> None:
        """Read a message that did not come in pieces."""
        out: list[StreamEvent] = []
        self.begin(message)
        for raw in objects_in(message, "content"):
            block = self._open(raw, out)
            block.citations = objects_in(raw, "citations")
            self._close(block, out)
        self.end(out)

    # -- the events

    def begin(self, message: JSONDict) -> None:
        self._begun = True
        self._id = text_in(message, "id")
        self._model = text_in(message, "model")
        self._said(message)

    def message_delta(self, event: JSONDict) -> None:
        self._said(object_in(event, "delta") or {})
        self._said({key: value for key, value in event.items() if key != "delta"})

    def open_block(self, event: JSONDict, out: list[StreamEvent]) -> None:
        index = whole_number_in(event, "index")
        block = self._open(object_in(event, "content_block") or {}, out)
        if index is not None:
            self._by_index[index] = block

    def block_delta(self, event: JSONDict, out: list[StreamEvent]) -> None:
        block = self._block(event)
        delta = object_in(event, "delta") or {}
        match text_in(delta, "type"):
            case "text_delta":
                self._text(block, text_in(delta, "text"), out)
            case "thinking_delta":
                self._thought(block, text_in(delta, "thinking"), out)
            case "signature_delta":
                block.signature = text_in(delta, "signature")
            case "input_json_delta":
                self._input(block, text_in(delta, "partial_json"), out)
            case "citations_delta":
                block.citations.append(object_in(delta, "citation") or {})
            case _:
                _merge(block.raw, delta)

    def close_block(self, event: JSONDict, out: list[StreamEvent]) -> None:
        self._close(self._block(event), out)

    def end(self, out: list[StreamEvent]) -> None:
        """The message is over. Raises `TruncatedAnswerError` if it never began."""
        if not self._begun:
            raise TruncatedAnswerError(
                "the stream ended without an answer: message_stop came first", phase=Phase.CONTENT
            )
        for block in self._blocks:
            self._close(block, out)
        self.draft.end_text(out)

    # -- the blocks

    def _block(self, event: JSONDict) -> _Block:
        index = whole_number_in(event, "index")
        block = self._by_index.get(index) if index is not None else None
        if block is None:
            raise MalformedAnswerError(
                f"the backend goes on with content block {event.get('index')!r}, which it never began",
                phase=Phase.CONTENT,
            )
        return block

    def _open(self, raw: JSONDict, out: list[StreamEvent]) -> _Block:
        block = _Block(dict(raw))
        self._blocks.append(block)
        match raw.get("type"):
            case "text":
                # Marked-up reasoning stands before the text around it, so the text must find its own place.
                block.part = None if self._marked_up else self.draft.begin(TextPart)
                self._text(block, text_in(raw, "text"), out)
            case "thinking":
                block.part = self.draft.begin(ReasoningPart)
                block.signature = text_in(raw, "signature")
                self._thought(block, text_in(raw, "thinking"), out)
            case "tool_use":
                self.draft.end_text(out)
                block.call = call = self.draft.new_tool_call(text_in(raw, "id") or None, text_in(raw, "name"))
                caller = object_in(raw, "caller") or {}
                call.caller = cast("JSONObject", caller) if caller.get("type", "direct") != "direct" else None
                out.append(ToolCallDeltaEvent(call.position, call.id, call.name, ""))
            case _:
                self.draft.end_text(out)
                block.part = self.draft.add(_whole_part(block.raw))
        return block

    def _text(self, block: _Block, piece: str | None, out: list[StreamEvent]) -> None:
        if piece:
            settled = block.part is not None and block.part.settled is not None
            self.draft.text(piece, out, None if settled else block.part)

    def _thought(self, block: _Block, piece: str | None, out: list[StreamEvent]) -> None:
        if piece:
            self.draft.reasoning(piece, out, block.part)

    def _input(self, block: _Block, piece: str | None, out: list[StreamEvent]) -> None:
        if not piece:
            return
        block.input.append(piece)
        if call := block.call:
            call.pieces.append(piece)
            out.append(ToolCallDeltaEvent(call.position, call.id, call.name, piece))

    def _close(self, block: _Block, out: list[StreamEvent]) -> None:
        if not block.open:
            return
        block.open = False
        match block.raw.get("type"):
            case "text":
                self.draft.end_text(out)
                if block.part and block.part.pieces and block.citations:
                    text, citations = "".join(block.part.pieces), cast("list[JSONObject]", block.citations)
                    block.part.settled = TextPart(text, citations=tuple(citations))
            case "thinking" if block.part and (block.part.pieces or block.signature):
                text = "".join(block.part.pieces)
                block.part.settled = ReasoningPart(text=text, issuer=ISSUER, signature=block.signature)
            case "tool_use":
                if not block.input and (given := object_in(block.raw, "input")):
                    self._input(block, body_bytes(given, {}).decode(), out)
            case _ if block.part:
                if block.input:
                    block.raw["input"] = _parsed("".join(block.input))
                block.part.settled = _whole_part(block.raw)
            case _:
                pass  # a thought of which nothing came

    # -- the message

    def _said(self, fields: JSONDict) -> None:
        """What stands beside the blocks. Later words win, but null is no word."""
        self.raw_finish_reason = text_in(fields, "stop_reason") or self.raw_finish_reason
        usage = object_in(fields, "usage") or {}
        self._usage |= {key: value for key, value in usage.items() if value is not None}
        self._extra |= {key: value for key, value in fields.items() if key not in _READ_FIELDS and value is not None}

    def result(self, *, ended: bool) -> InferenceResult:
        warnings = [*self._warnings, *self.draft.warnings()]
        raw = self.raw_finish_reason
        reason = _FINISH_REASONS.get(raw, FinishReason.UNKNOWN) if raw else FinishReason.UNKNOWN
        return InferenceResult(
            content=self.draft.content(complete=ended),
            finish_reason=self.draft.finish_reason(reason) if ended else None,
            raw_finish_reason=raw,
            usage=_read_usage(self._usage, warnings),
            model=self._model,
            response_id=self._id,
            annotations=self._annotations(),
            reported_cost=read_cost(self._usage),
            service_tier="fast" if self._usage.get("speed") == "fast" else read_tier(self._usage),
            warnings=tuple(warnings),
            extra=cast("JSONObject", self._extra),
        )

    def _annotations(self) -> tuple[Annotation, ...]:
        """The citations. What is cited for is the whole block: `start` and `end` are its place in the text."""
        found: list[Annotation] = []
        start = 0
        for block in self._blocks:
            if block.raw.get("type") != "text":
                continue
            end = start + (sum(map(len, block.part.pieces)) if block.part else 0)
            found += [_annotation(raw, None if self._marked_up else (start, end)) for raw in block.citations]
            start = end
        return tuple(found)


def _annotation(raw: JSONDict, span: tuple[int, int] | None) -> Annotation:
    return Annotation(
        kind=text_in(raw, "type") or "unknown",
        url=text_in(raw, "url") or text_in(raw, "source"),
        title=text_in(raw, "title") or text_in(raw, "document_title"),
        start=span[0] if span else None,
        end=span[1] if span else None,
        raw=cast("JSONObject", raw),
    )


def _whole_part(raw: JSONDict) -> Part:
    """A block that is kept as it is: what a hosted tool did, and whatever is not known yet."""
    kind = text_in(raw, "type") or "unknown"
    if kind == "redacted_thinking":
        return ReasoningPart(issuer=ISSUER, signature=text_in(raw, "data"), redacted=True)
    content = raw.get("content")
    failure = cast("JSONDict", content).get("error_code") if isinstance(content, dict) else None
    return HostedToolPart(
        kind=kind,
        issuer=ISSUER,
        id=text_in(raw, "id") or text_in(raw, "tool_use_id"),
        status=failure if isinstance(failure, str) else "error" if raw.get("is_error") is True else None,
        hits=_search_hits(raw) if kind == "web_search_tool_result" else (),
        raw=cast("JSONObject", dict(raw)),
    )


def _search_hits(raw: JSONDict) -> tuple[SearchHit, ...]:
    if not isinstance(raw.get("content"), list):  # an object here is the tool's failure
        return ()
    return tuple(
        SearchHit(url=text_in(hit, "url"), title=text_in(hit, "title"), raw=cast("JSONObject", hit))
        for hit in objects_in(raw, "content")
    )


def _merge(raw: JSONDict, delta: JSONDict) -> None:
    """A kind of delta that is not known: texts are added on, anything else replaces."""
    for key, value in delta.items():
        before = raw.get(key)
        if key != "type":
            raw[key] = before + value if isinstance(before, str) and isinstance(value, str) else value


def _parsed(text: str) -> object:
    """A hosted tool's input; text that is no JSON stays text."""
    try:
        return cast("object", from_json(text))
    except ValueError:
        return text


def _read_usage(raw: JSONDict, warnings: list[InferenceWarning]) -> Usage:
    """The wire counts the cached part of the input beside it, and the tokens of a compaction only in its iteration."""
    fresh = read_count(raw, "input_tokens", warnings)
    read = read_count(raw, "cache_read_input_tokens", warnings)
    written = read_count(raw, "cache_creation_input_tokens", warnings)
    output = read_count(raw, "output_tokens", warnings)
    for iteration in objects_in(raw, "iterations"):
        if iteration.get("type") == "compaction":
            fresh = _sum(fresh, read_count(iteration, "input_tokens", warnings))
            output = _sum(output, read_count(iteration, "output_tokens", warnings))
        elif other := text_in(iteration, "model"):
            warnings.append(InferenceWarning("usage.iterations", f"tokens of {other} are not counted: see usage.raw"))
    return Usage(
        input_tokens=_sum(fresh, read, written),
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=read_count(object_in(raw, "cache_creation"), "ephemeral_1h_input_tokens", warnings),
        reasoning_tokens=read_count(object_in(raw, "output_tokens_details"), "thinking_tokens", warnings),
        web_searches=read_count(object_in(raw, "server_tool_use"), "web_search_requests", warnings),
        raw=cast("JSONObject", raw),
    )


def _sum(first: int | None, *others: int | None) -> int | None:
    """`first` with what else is known; unknown if `first` is."""
    return None if first is None else first + sum(other or 0 for other in others)
