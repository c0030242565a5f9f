"""Anthropic's Messages, spoken by a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

from typing_extensions import override

from airframe.errors import ErrorCategory, InvalidRequestError
from airframe.protocols.reading import JSONDict, objects_in, text_in
from airframe.testing.server.openai_chat import read_options, read_tool
from airframe.testing.server.wire_format import (
    Asked,
    Document,
    Refusal,
    Speech,
    WireFormat,
    encoded,
    halves,
    known,
    words_of,
)
from airframe.testing.steps import Answer
from airframe.types import FinishReason, InferenceRequest, Message, Part, Role, TextPart, ToolCall, ToolResultPart

__all__ = ["MessagesFormat"]

_C = ErrorCategory
_BAD = "invalid_request_error"
_SIGNATURE = "c2NyaXB0ZWQ="
"""The proof of a thought, without which it could not be sent back."""


class MessagesFormat(WireFormat):
    """Messages: an answer is a list of blocks."""

    name = "Anthropic Messages"
    request_id_header = "request-id"
    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {
        FinishReason.STOP: "end_turn",
        FinishReason.LENGTH: "max_tokens",
        FinishReason.TOOL_CALLS: "tool_use",
        FinishReason.REFUSAL: "refusal",
        FinishReason.PAUSE: "pause_turn",
    }
    refusals: ClassVar[Mapping[ErrorCategory, Refusal]] = {
        _C.AUTH: Refusal(401, "authentication_error"),
        _C.PERMISSION: Refusal(403, "permission_error"),
        _C.BILLING: Refusal(402, "billing_error"),
        _C.RATE_LIMIT: Refusal(429, "rate_limit_error"),
        _C.OVERLOADED: Refusal(529, "overloaded_error"),
        _C.LOADING: Refusal(529, "overloaded_error"),  # it never loads a model
        _C.CONTEXT_LENGTH: Refusal(400, _BAD, words="prompt is too long"),
        _C.CONTENT_FILTER: Refusal(400, _BAD, words="Output blocked by content filtering policy"),
        _C.NOT_FOUND: Refusal(404, "not_found_error"),
        _C.UNSUPPORTED: Refusal(400, _BAD, words="Extra inputs are not permitted"),
        _C.INVALID_REQUEST: Refusal(400, _BAD),
        _C.CONFLICT: Refusal(409, "conflict_error"),
        _C.TIMEOUT: Refusal(504, "timeout_error"),
        _C.SERVER: Refusal(500, "api_error"),
        _C.UNKNOWN: Refusal(418, "unknown_error"),
    }

    @override
    def read(self, body: JSONDict) -> InferenceRequest:
        system = words_of(body.get("system") or "")
        turns = [message for turn in objects_in(body, "messages") for message in _messages(turn)]
        return InferenceRequest(
            messages=[*([Message("system", system)] if system else []), *turns],
            tools=[read_tool(tool, "input_schema") for tool in objects_in(body, "tools")],
            **read_options(body, {name: name for name in ("max_tokens", "temperature", "top_p", "top_k")}),
        )

    @override
    def speech(self, asked: Asked, answer: Answer) -> Speech:
        return _MessagesSpeech(self, asked, answer)

    @override
    def error(self, refusal: Refusal, message: str) -> Document:
        details = {} if refusal.code is None else {"details": {"error_code": refusal.code}}
        return {"type": "error", "error": {"type": refusal.type, "message": message, **details}, "request_id": None}

    @override
    def error_frame(self, refusal: Refusal, message: str) -> bytes:
        return b"event: error\n" + self.frame(self.error(refusal, message))


class _MessagesSpeech(Speech):
    """Opens a block when something of another kind is said, and closes the one before."""

    def __init__(self, form: MessagesFormat, asked: Asked, answer: Answer) -> None:
        super().__init__(asked, answer)
        self._form = form
        self._reason = form.finish_reason(answer)
        self._blocks = 0
        self._open: str | None = None

    @override
    def begin(self) -> bytes:
        usage = {**self._usage(), "output_tokens": None if self.answer.usage.output_tokens is None else 1}
        return self._event("message_start", message=self._message([], None, usage))

    @override
    def reasoning(self, piece: str) -> bytes:
        said = self._opened("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        return said + self._delta({"type": "thinking_delta", "thinking": piece})

    @override
    def text(self, piece: str) -> bytes:
        said = self._opened("text", {"type": "text", "text": ""})
        return said + self._delta({"type": "text_delta", "text": piece})

    @override
    def tool_call(self, call: ToolCall) -> bytes:
        said = self._close() + self._opened("tool_use", _tool_use(call, {}))
        said += b"".join(
            self._delta({"type": "input_json_delta", "partial_json": piece}) for piece in ("", *halves(call.arguments))
        )
        return said + self._close()

    @override
    def end(self) -> bytes:
        said = self._close()
        delta = {"stop_reason": self._reason, "stop_sequence": None}
        said += self._event("message_delta", delta=delta, usage=self._usage())
        return said + self._event("message_stop")

    @override
    def whole(self) -> Document:
        answer = self.answer
        blocks: list[Document] = []
        if answer.thoughts:
            blocks.append({"type": "thinking", "thinking": "".join(answer.thoughts), "signature": _SIGNATURE})
        if answer.texts:
            blocks.append({"type": "text", "text": "".join(answer.texts)})
        for call in answer.tool_calls:
            if call.parsed_arguments is None:
                raise ValueError(f"{self._form.name} cannot say arguments that are no JSON object: {call.arguments!r}")
            blocks.append(_tool_use(call, call.parsed_arguments))
        return self._message(blocks, self._reason, self._usage())

    # -- blocks

    def _opened(self, kind: str, block: Document) -> bytes:
        if self._open == kind:
            return b""
        said = self._close()
        self._open = kind
        return said + self._event("content_block_start", index=self._blocks, content_block=block)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        said = self._delta({"type": "signature_delta", "signature": _SIGNATURE}) if self._open == "thinking" else b""
        said += self._event("content_block_stop", index=self._blocks)
        self._blocks, self._open = self._blocks + 1, None
        return said

    def _delta(self, delta: Document) -> bytes:
        return self._event("content_block_delta", index=self._blocks, delta=delta)

    # -- events

    def _event(self, kind: str, **fields: object) -> bytes:
        return b"event: " + kind.encode() + b"\n" + self._form.frame(encoded({"type": kind, **fields}))

    def _message(self, content: Sequence[Document], reason: str | None, usage: Document) -> Document:
        return {
            "id": self.answer.response_id or f"msg_{self.asked.number}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": usage,
        }

    def _usage(self) -> JSONDict:
        """On the wire, the cached part of the input is counted beside it.

        Clients expect the two counts: unknown, they are null.
        """
        usage, cost = self.answer.usage, self.answer.reported_cost
        cached = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
        return {
            "input_tokens": None if usage.input_tokens is None else usage.input_tokens - cached,
            "output_tokens": usage.output_tokens,
            **known(
                cache_read_input_tokens=usage.cache_read_tokens,
                cache_creation_input_tokens=usage.cache_write_tokens,
                output_tokens_details=known(thinking_tokens=usage.reasoning_tokens),
                cost=None if cost is None else float(cost),
            ),
        }


def _tool_use(call: ToolCall, given: object) -> Document:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def _messages(turn: JSONDict) -> Sequence[Message]:
    """What a turn says; the results of tools are messages of their own."""
    role, content = text_in(turn, "role"), turn.get("content")
    if role not in {"user", "assistant"}:
        raise InvalidRequestError(f"messages[].role must be user or assistant, got {role!r}")
    if isinstance(content, str):
        return [Message(cast("Role", role), content)]
    parts: list[Part] = []
    results: list[Message] = []
    for block in objects_in(turn, "content"):
        match block.get("type"):
            case "text":
                parts.append(TextPart(text_in(block, "text") or ""))
            case "tool_use":
                arguments = encoded(cast("JSONDict", block.get("input") or {})).decode()
                parts.append(
                    ToolCall(id=text_in(block, "id") or "", name=text_in(block, "name") or "", arguments=arguments)
                )
            case "tool_result":
                answer = words_of(block.get("content") or "")
                failed = block.get("is_error") is True
                part = ToolResultPart(tool_call_id=text_in(block, "tool_use_id") or "", content=answer, is_error=failed)
                results.append(Message("tool", [part]))
            case _:
                pass  # images and thoughts: see the request as it was received
    return [*results, *([Message(cast("Role", role), parts)] if parts else [])]
