"""OpenAI's Responses, spoken by a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

from typing_extensions import override

from airframe.errors import InvalidRequestError
from airframe.protocols.reading import JSONDict, objects_in, text_in
from airframe.testing.server.openai_chat import OPENAI_REFUSALS, openai_error, read_options, read_tool
from airframe.testing.server.wire_format import (
    CREATED,
    SAMPLING,
    Asked,
    Document,
    Refusal,
    Speech,
    WireFormat,
    encoded,
    halves,
    known,
    total_tokens,
    words_of,
)
from airframe.testing.steps import Answer
from airframe.types import FinishReason, InferenceRequest, Message, Role, ToolCall
from airframe.types.messages import ROLES

__all__ = ["ResponsesFormat"]


class ResponsesFormat(WireFormat):
    """Responses: an answer is a list of items."""

    name = "OpenAI Responses"
    # The words are a status, or why an answer is incomplete.
    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {
        FinishReason.STOP: "completed",
        FinishReason.TOOL_CALLS: "completed",
        FinishReason.LENGTH: "max_output_tokens",
        FinishReason.CONTENT_FILTER: "content_filter",
    }
    refusals = OPENAI_REFUSALS

    @override
    def read(self, body: JSONDict) -> InferenceRequest:
        said = body.get("input")
        items = [JSONDict(role="user", content=said)] if isinstance(said, str) else objects_in(body, "input")
        instructions = text_in(body, "instructions")
        system = [Message("system", instructions)] if instructions else []
        return InferenceRequest(
            messages=[*system, *(_message(item) for item in items if item.get("type") != "reasoning")],
            tools=[read_tool(tool, "parameters") for tool in objects_in(body, "tools") if tool["type"] == "function"],
            **read_options(body, {**SAMPLING, "max_output_tokens": "max_tokens"}),
        )

    @override
    def speech(self, asked: Asked, answer: Answer) -> Speech:
        return _ResponsesSpeech(self, asked, answer)

    @override
    def error(self, refusal: Refusal, message: str) -> Document:
        return openai_error(refusal, message)

    @override
    def error_frame(self, refusal: Refusal, message: str) -> bytes:
        error = {"type": "error", "code": refusal.code or refusal.type, "message": message, "param": None}
        return b"event: error\n" + self.frame(error)


class _ResponsesSpeech(Speech):
    """Opens an item when something of another kind is said, and closes the one before."""

    def __init__(self, form: ResponsesFormat, asked: Asked, answer: Answer) -> None:
        super().__init__(asked, answer)
        self._form = form
        self._reason = form.finish_reason(answer)
        self._events = 0
        self._done: list[Document] = []
        self._open: str | None = None
        self._pieces: list[str] = []

    @override
    def begin(self) -> bytes:
        response = self._response("in_progress", [])
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    @override
    def reasoning(self, piece: str) -> bytes:
        said = b""
        if self._open != "reasoning":
            said = self._close() + self._begin_item("reasoning", _reasoning_item(self._item_id("rs"), None))
            part = {"type": "summary_text", "text": ""}
            said += self._piece("response.reasoning_summary_part.added", summary_index=0, part=part)
        self._pieces.append(piece)
        return said + self._piece("response.reasoning_summary_text.delta", summary_index=0, delta=piece)

    @override
    def text(self, piece: str) -> bytes:
        said = b""
        if self._open != "message":
            said = self._close() + self._begin_item("message", _message_item(self._item_id("msg"), None))
            said += self._piece("response.content_part.added", content_index=0, part=_text_part(""))
        self._pieces.append(piece)
        return said + self._piece("response.output_text.delta", content_index=0, delta=piece, logprobs=[])

    @override
    def tool_call(self, call: ToolCall) -> bytes:
        id = self._item_id("fc")
        said = self._close() + self._begin_item("function_call", _call_item(id, call, ""))
        for piece in halves(call.arguments):
            said += self._piece("response.function_call_arguments.delta", delta=piece)
        said += self._piece("response.function_call_arguments.done", name=call.name, arguments=call.arguments)
        return said + self._end_item(_call_item(id, call, call.arguments))

    @override
    def end(self) -> bytes:
        said = self._close()
        status = "completed" if self._reason == "completed" else "incomplete"
        return said + self._event(f"response.{status}", response=self._response(status, self._done))

    @override
    def whole(self) -> Document:
        answer = self.answer
        items: list[Document] = []
        if answer.thoughts:
            items.append(_reasoning_item(f"rs_{self.asked.number}_0", "".join(answer.thoughts)))
        if answer.texts:
            items.append(_message_item(f"msg_{self.asked.number}_{len(items)}", "".join(answer.texts)))
        for call in answer.tool_calls:
            items.append(_call_item(f"fc_{self.asked.number}_{len(items)}", call, call.arguments))
        return self._response("completed" if self._reason == "completed" else "incomplete", items)

    # -- items

    def _item_id(self, prefix: str) -> str:
        """Made of the place that the next item will have once the open one is closed."""
        return f"{prefix}_{self.asked.number}_{len(self._done) + (self._open is not None)}"

    def _begin_item(self, kind: str, item: Document) -> bytes:
        self._open, self._pieces = kind, []
        self._id = item["id"]
        return self._event("response.output_item.added", output_index=len(self._done), item=item)

    def _close(self) -> bytes:
        text = "".join(self._pieces)
        match self._open:
            case "reasoning":
                said = self._piece("response.reasoning_summary_text.done", summary_index=0, text=text)
                part = {"type": "summary_text", "text": text}
                said += self._piece("response.reasoning_summary_part.done", summary_index=0, part=part)
                return said + self._end_item(_reasoning_item(str(self._id), text))
            case "message":
                said = self._piece("response.output_text.done", content_index=0, text=text, logprobs=[])
                said += self._piece("response.content_part.done", content_index=0, part=_text_part(text))
                return said + self._end_item(_message_item(str(self._id), text))
            case _:
                return b""

    def _end_item(self, item: Document) -> bytes:
        said = self._event("response.output_item.done", output_index=len(self._done), item=item)
        self._done.append(item)
        self._open = None
        return said

    def _piece(self, kind: str, **fields: object) -> bytes:
        return self._event(kind, item_id=self._id, output_index=len(self._done), **fields)

    # -- events

    def _event(self, kind: str, **fields: object) -> bytes:
        event = {"type": kind, "sequence_number": self._events, **fields}
        self._events += 1
        return b"event: " + kind.encode() + b"\n" + self._form.frame(encoded(event))

    def _response(self, status: str, output: Sequence[Document]) -> Document:
        answer = self.answer
        over = status != "in_progress"
        return {
            "id": answer.response_id or f"resp_{self.asked.number}",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": self._reason} if status == "incomplete" else None,
            "instructions": None,
            "metadata": {},
            "model": self.model,
            "output": list(output),
            "parallel_tool_calls": True,
            "temperature": self.asked.request.temperature,
            "tool_choice": "auto",
            "tools": [],
            "top_p": self.asked.request.top_p,
            "usage": (self._usage() or None) if over else None,
        }

    def _usage(self) -> JSONDict:
        usage, cost = self.answer.usage, self.answer.reported_cost
        return known(
            input_tokens=usage.input_tokens,
            input_tokens_details=known(
                cached_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                audio_tokens=usage.input_audio_tokens,
            ),
            output_tokens=usage.output_tokens,
            output_tokens_details=known(
                reasoning_tokens=usage.reasoning_tokens, audio_tokens=usage.output_audio_tokens
            ),
            total_tokens=total_tokens(usage),
            cost=None if cost is None else float(cost),
        )


def _reasoning_item(id: str, text: str | None) -> Document:
    """An item that is just begun (None), or as it finally is; so with the others."""
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"id": id, "type": "reasoning", "summary": summary}


def _message_item(id: str, text: str | None) -> Document:
    status, content = ("in_progress", []) if text is None else ("completed", [_text_part(text)])
    return {"id": id, "type": "message", "status": status, "role": "assistant", "content": content}


def _call_item(id: str, call: ToolCall, arguments: str) -> Document:
    status = "completed" if arguments else "in_progress"
    names = {"call_id": call.id, "name": call.name, "arguments": arguments}
    return {"id": id, "type": "function_call", "status": status, **names}


def _text_part(text: str) -> Document:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(item: JSONDict) -> Message:
    match text_in(item, "type") or "message":
        case "message":
            role = text_in(item, "role")
            if role not in ROLES:
                raise InvalidRequestError(f"input[].role must be one of {', '.join(sorted(ROLES))}, got {role!r}")
            return Message(cast("Role", role), words_of(item.get("content")))
        case "function_call":
            id, name = text_in(item, "call_id") or "", text_in(item, "name") or ""
            return Message("assistant", [ToolCall(id=id, name=name, arguments=text_in(item, "arguments") or "{}")])
        case "function_call_output":
            return Message.tool(text_in(item, "call_id") or "", words_of(item.get("output")))
        case kind:
            raise InvalidRequestError(f"input[].type {kind!r} is nothing that the fake server knows")
