"""OpenAI's chat completions, spoken by a server: as OpenAI does, and as llama-server does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from typing_extensions import override

from airframe.errors import ErrorCategory, InvalidRequestError
from airframe.protocols.reading import JSONDict, object_in, objects_in, text_in
from airframe.testing.server.wire_format import (
    CREATED,
    SAMPLING,
    Asked,
    Document,
    Refusal,
    Speech,
    WireFormat,
    halves,
    known,
    total_tokens,
    words_of,
)
from airframe.testing.steps import Answer
from airframe.types import FinishReason, InferenceRequest, Message, Part, Role, TextPart, ToolCall, ToolSpec
from airframe.types.messages import ROLES

__all__ = [
    "LLAMA_REFUSALS",
    "OPENAI_REFUSALS",
    "ChatFormat",
    "LlamaChatFormat",
    "llama_error",
    "openai_error",
    "read_chat_messages",
    "read_options",
    "read_tool",
]

_C = ErrorCategory
_BAD = "invalid_request_error"

OPENAI_REFUSALS: Mapping[ErrorCategory, Refusal] = {
    _C.AUTH: Refusal(401, _BAD, "invalid_api_key"),
    _C.PERMISSION: Refusal(403, "permission_error"),
    _C.BILLING: Refusal(429, "insufficient_quota", "insufficient_quota"),
    _C.RATE_LIMIT: Refusal(429, "requests", "rate_limit_exceeded"),
    _C.OVERLOADED: Refusal(503, "service_unavailable_error", "server_is_overloaded"),
    _C.LOADING: Refusal(503, "service_unavailable_error", "server_is_overloaded"),  # it never loads a model
    _C.CONTEXT_LENGTH: Refusal(400, _BAD, "context_length_exceeded"),
    _C.CONTENT_FILTER: Refusal(400, _BAD, "content_filter"),
    _C.NOT_FOUND: Refusal(404, _BAD, "model_not_found"),
    _C.UNSUPPORTED: Refusal(400, _BAD, "unsupported_parameter"),
    _C.INVALID_REQUEST: Refusal(400, _BAD, "missing_required_parameter"),
    _C.CONFLICT: Refusal(409, "conflict_error"),
    _C.TIMEOUT: Refusal(504, "timeout"),
    _C.SERVER: Refusal(500, "server_error", "server_error"),
    _C.UNKNOWN: Refusal(418, "unknown_error"),
}

LLAMA_REFUSALS: Mapping[ErrorCategory, Refusal] = {
    _C.AUTH: Refusal(401, "authentication_error", words="Invalid API Key"),
    _C.PERMISSION: Refusal(403, "permission_error"),
    _C.BILLING: Refusal(402, "billing_error"),  # these and the like come from a proxy before it
    _C.RATE_LIMIT: Refusal(429, "rate_limit_error"),
    _C.OVERLOADED: Refusal(503, "unavailable_error"),
    _C.LOADING: Refusal(503, "unavailable_error", words="Loading model"),
    _C.CONTEXT_LENGTH: Refusal(400, "exceed_context_size_error"),
    _C.CONTENT_FILTER: Refusal(400, _BAD),  # it has no filter
    _C.NOT_FOUND: Refusal(404, "not_found_error"),
    _C.UNSUPPORTED: Refusal(501, "not_supported_error"),
    _C.INVALID_REQUEST: Refusal(400, _BAD),
    _C.CONFLICT: Refusal(409, "conflict_error"),
    _C.TIMEOUT: Refusal(504, "timeout_error"),
    _C.SERVER: Refusal(500, "server_error"),
    _C.UNKNOWN: Refusal(418, "unknown_error"),
}


class ChatFormat(WireFormat):
    """Chat completions as OpenAI speaks them."""

    name = "OpenAI chat"
    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {
        FinishReason.STOP: "stop",
        FinishReason.LENGTH: "length",
        FinishReason.TOOL_CALLS: "tool_calls",
        FinishReason.CONTENT_FILTER: "content_filter",
        FinishReason.REFUSAL: "stop",
    }
    refusals = OPENAI_REFUSALS
    timings: ClassVar[bool] = False

    @override
    def read(self, body: JSONDict) -> InferenceRequest:
        functions = [object_in(tool, "function") or {} for tool in objects_in(body, "tools")]
        return InferenceRequest(
            messages=read_chat_messages(objects_in(body, "messages")),
            tools=[read_tool(function, "parameters") for function in functions],
            **read_options(body, {**SAMPLING, "max_tokens": "max_tokens", "max_completion_tokens": "max_tokens"}),
        )

    @override
    def wants_usage(self, body: JSONDict) -> bool:
        return (object_in(body, "stream_options") or {}).get("include_usage") is True

    @override
    def speech(self, asked: Asked, answer: Answer) -> Speech:
        return _ChatSpeech(self, asked, answer)

    @override
    def error(self, refusal: Refusal, message: str) -> Document:
        return openai_error(refusal, message)


class LlamaChatFormat(ChatFormat):
    """Chat completions as llama-server speaks them: with its own errors, and with timings."""

    refusals = LLAMA_REFUSALS
    timings = True

    @override
    def error(self, refusal: Refusal, message: str) -> Document:
        return llama_error(refusal, message)


class _ChatSpeech(Speech):
    def __init__(self, form: ChatFormat, asked: Asked, answer: Answer) -> None:
        super().__init__(asked, answer)
        self._form = form
        self._reason = form.finish_reason(answer)
        # A refusal is said under a name of its own.
        self._text = "refusal" if answer.finish_reason is FinishReason.REFUSAL else "content"
        self._calls = 0

    @override
    def begin(self) -> bytes:
        return self._delta({"role": "assistant", "content": ""})

    @override
    def reasoning(self, piece: str) -> bytes:
        return self._delta({"reasoning_content": piece})

    @override
    def text(self, piece: str) -> bytes:
        return self._delta({self._text: piece})

    @override
    def tool_call(self, call: ToolCall) -> bytes:
        index, self._calls = self._calls, self._calls + 1
        head = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        pieces = [{"index": index, "function": {"arguments": piece}} for piece in halves(call.arguments)]
        return b"".join(self._delta({"tool_calls": [piece]}) for piece in (head, *pieces))

    @override
    def end(self) -> bytes:
        usage = self._usage() if self.asked.usage_wanted else {}
        said = self._chunk([self._choice({"delta": {}}, self._reason)])
        if usage:
            said += self._chunk([], **usage)
        return said + self._form.frame(b"[DONE]")

    @override
    def whole(self) -> Document:
        answer = self.answer
        message: JSONDict = {"role": "assistant", "content": None, self._text: "".join(answer.texts) or None}
        if answer.thoughts:
            message["reasoning_content"] = "".join(answer.thoughts)
        if answer.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in answer.tool_calls
            ]
        return self._document("chat.completion", [self._choice({"message": message}, self._reason)], **self._usage())

    def _delta(self, delta: Document) -> bytes:
        return self._chunk([self._choice({"delta": delta}, None)])

    def _choice(self, said: Document, reason: str | None) -> Document:
        return {"index": 0, **said, "logprobs": None, "finish_reason": reason}

    def _chunk(self, choices: Sequence[Document], **fields: object) -> bytes:
        return self._form.frame(self._document("chat.completion.chunk", choices, **fields))

    def _document(self, kind: str, choices: Sequence[Document], **fields: object) -> Document:
        id = self.answer.response_id or f"chatcmpl-{self.asked.number}"
        return {"id": id, "object": kind, "created": CREATED, "model": self.model, "choices": choices, **fields}

    def _usage(self) -> JSONDict:
        usage, cost = self.answer.usage, self.answer.reported_cost
        said = known(
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            total_tokens=total_tokens(usage),
            prompt_tokens_details=known(
                cached_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                audio_tokens=usage.input_audio_tokens,
            ),
            completion_tokens_details=known(
                reasoning_tokens=usage.reasoning_tokens, audio_tokens=usage.output_audio_tokens
            ),
            cost=None if cost is None else float(cost),
        )
        timings = known(prompt_n=usage.input_tokens, predicted_n=usage.output_tokens) if self._form.timings else {}
        return known(usage=said, timings=timings)


def openai_error(refusal: Refusal, message: str) -> Document:
    """An error as OpenAI says it."""
    return {"error": {"message": message, "type": refusal.type, "param": None, "code": refusal.code}}


def llama_error(refusal: Refusal, message: str) -> Document:
    """An error as llama-server says it."""
    return {"error": {"code": refusal.code or refusal.status, "message": message, "type": refusal.type}}


def read_chat_messages(messages: Sequence[JSONDict]) -> Sequence[Message]:
    """The conversation: who said what, tool calls and what came of them."""
    return [_message(message) for message in messages]


def read_tool(tool: JSONDict, parameters: str) -> ToolSpec:
    """A function that is offered; `parameters` is where its schema stands."""
    return ToolSpec(
        name=text_in(tool, "name") or "",
        description=text_in(tool, "description") or "",
        parameters=object_in(tool, parameters) or {},
    )


def read_options(body: JSONDict, names: Mapping[str, str]) -> dict[str, Any]:
    """What of the body is an option of the request: names on the wire -> fields of `InferenceRequest`."""
    options: dict[str, Any] = {field: body[name] for name, field in names.items() if body.get(name) is not None}
    stop = body.get("stop", body.get("stop_sequences"))
    if stop:
        options["stop"] = [stop] if isinstance(stop, str) else stop
    if model := text_in(body, "model"):
        options["model"] = model
    return options


def _message(message: JSONDict) -> Message:
    role, text = text_in(message, "role"), words_of(message.get("content"))
    if role not in ROLES:
        raise InvalidRequestError(f"messages[].role must be one of {', '.join(sorted(ROLES))}, got {role!r}")
    if role == "tool":
        return Message.tool(text_in(message, "tool_call_id") or "", text)
    parts: list[Part] = [TextPart(text)] if text else []
    for call in objects_in(message, "tool_calls"):
        function = object_in(call, "function") or {}
        arguments = text_in(function, "arguments") or "{}"
        parts.append(ToolCall(id=text_in(call, "id") or "", name=text_in(function, "name") or "", arguments=arguments))
    return Message(cast("Role", role), parts if len(parts) > 1 or not text else text)
