"""OpenAI's Responses, and the services that speak them: an answer is a list of items.

    whole   {"id", "status": "completed", "output": [item, ...], "usage", ...}
    item    message {"content": [output_text | refusal]}, reasoning, function_call, web_search_call, ...
    stream  response.created, then for each item
                response.output_item.added {"output_index", "item"}
                response.output_text.delta {"item_id", "content_index", "delta"} ...
                response.output_item.done {"item"}
            response.completed | response.incomplete | response.failed {"response"}

The terminal event proves the answer whole; no `[DONE]` is needed. An item in `done` or in the terminal event is the
truth about what its deltas said in pieces; servers that leave the deltas out (LM Studio), the whole items (llama-server
until the end) or the terminal list (`"output": []`) are read as well. Failures come as an `error` event, nested or
flat, as `response.failed`, or as a bare error object. Sources: `types/responses` of openai 3.51.0, recorded traffic
(read 2026-11-20).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from airframe.errors import BackendError, MalformedAnswerError, Phase, TruncatedAnswerError
from airframe.protocols.backend_error import read_error_body
from airframe.protocols.framing import SSEFrame
from airframe.protocols.openai_responses_request import responses_body
from airframe.protocols.protocol import DecodeOptions, Protocol, SSEDecoder, Unsupported, WireRequest, body_bytes
from airframe.protocols.reading import excerpt, parse_object, text_in
from airframe.protocols.responses_answer import UNFINISHED, ResponsesAnswer
from airframe.protocols.responses_dialect import OPENAI_RESPONSES, ResponsesDialect
from airframe.types.background import BACKGROUND_STATUSES, BackgroundResponse, BackgroundStatus
from airframe.types.events import StreamEvent
from airframe.types.request import InferenceRequest
from airframe.types.result import InferenceResult

__all__ = ["OpenAIResponsesProtocol"]

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
_PINGS = frozenset({"keepalive", "ping"})


class OpenAIResponsesProtocol(Protocol):
    """Responses in the dialect of one service."""

    def __init__(self, dialect: ResponsesDialect = OPENAI_RESPONSES) -> None:
        self.name = f"responses ({dialect.name})"
        self.dialect = dialect

    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        dropped = Unsupported(self.name, request.strict)
        body = responses_body(request, model=model, stream=stream, dialect=self.dialect, dropped=dropped)
        return WireRequest(
            path="/responses", body=body_bytes(body, request.extra_params), warnings=tuple(dropped.warnings)
        )

    def decode(self, body: bytes, options: DecodeOptions) -> InferenceResult:
        answer = self._read(body, options)
        if answer.error is not None:
            raise answer.error
        if answer.status not in {"completed", "incomplete", "cancelled"}:
            raise TruncatedAnswerError(
                f"the answer is not finished: its status is {answer.status!r}; for a response in the background, ask "
                "by create_background and poll",
                phase=Phase.CONTENT,
            )
        return answer.result(ended=True)

    def decode_background(self, body: bytes, options: DecodeOptions) -> BackgroundResponse:
        """A response at any stage of its life. Raises `ProtocolError` for what is none."""
        answer = self._read(body, options)
        if not answer.response_id or answer.status not in BACKGROUND_STATUSES:
            raise _no_response(body)
        ended = answer.error is None and answer.status not in UNFINISHED
        return BackgroundResponse(
            id=answer.response_id,
            status=cast("BackgroundStatus", answer.status),
            result=answer.result(ended=True) if ended else None,
            error=answer.error,
        )

    def stream_decoder(self, options: DecodeOptions) -> SSEDecoder:
        return _ResponsesStreamDecoder(self.dialect, options)

    def classify_error(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        return self.dialect.errors.error(read_error_body(body), status=status, headers=headers, raw=body)

    def _read(self, body: bytes, options: DecodeOptions) -> ResponsesAnswer:
        document = parse_object(body)
        answer = ResponsesAnswer(self.dialect, options)
        answer.take_response(document, [], body)
        if answer.error is None and (not isinstance(document.get("output"), list) or answer.status is None):
            raise _no_response(body)
        return answer


class _ResponsesStreamDecoder(SSEDecoder):
    def __init__(self, dialect: ResponsesDialect, options: DecodeOptions) -> None:
        super().__init__(options)
        self._answer = ResponsesAnswer(dialect, options)

    def frame(self, frame: SSEFrame, out: list[StreamEvent]) -> None:
        if frame.data.startswith(b"[DONE]"):  # OpenRouter says it after the terminal event, where nobody listens
            raise self._truncated()
        event = parse_object(frame.data)
        kind = text_in(event, "type") or frame.event.decode("utf-8", "replace")
        if kind in _PINGS:
            return
        self.progress += 1
        if kind == "error" or (kind not in _TERMINAL and event.get("error")):
            raise self._answer.failure(event, frame.data)
        self._answer.take_event(kind, event, out, frame.data)
        if kind in _TERMINAL:
            self._answer.status = kind.removeprefix("response.")
            if kind == "response.failed" or self._answer.error is not None:
                raise self._answer.error or self._answer.failure(event, frame.data)
            self.proven = self.complete = True

    def result(self) -> InferenceResult:
        return self._answer.result(ended=self.proven)


def _no_response(body: bytes) -> MalformedAnswerError:
    return MalformedAnswerError(
        "the answer is no response: it has no output or no status", phase=Phase.CONTENT, body=excerpt(body)
    )
