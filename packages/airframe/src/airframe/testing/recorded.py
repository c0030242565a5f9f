"""Recorded exchanges with backends, and what airframe's wire formats make of them.

A folder of exchanges holds `index.json`, a list of objects with `id`, `file`, `backend`, `surface` and `kind` (`sse`,
`ndjson`, `json`, ...), and those files. A file holds `request` (`method`, `path`, `body`, ...) and `response`
(`status`, `headers` as pairs, `body` as text, and perhaps `chunk_sizes`, the lengths of the reads in which it came).
A `method` of CALL is a call in the recording process: its body holds what was returned or, line by line, yielded, and
perhaps `{"exception": {"type", "message", ...}}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airframe._in_process import as_event
from airframe._llama_cpp_python import error_document
from airframe.errors import AirframeError
from airframe.protocols import (
    AZURE,
    AZURE_RESPONSES,
    COMPATIBLE,
    COMPATIBLE_RESPONSES,
    LLAMA_SERVER,
    LM_STUDIO,
    MLX,
    OPENAI,
    OPENROUTER,
    OPENROUTER_RESPONSES,
    AnthropicMessagesProtocol,
    LlamaCompletionProtocol,
    LlamaCppPythonProtocol,
    OllamaChatProtocol,
    OpenAIChatProtocol,
    OpenAIResponsesProtocol,
    Protocol,
)
from airframe.protocols.protocol import DecodeOptions
from airframe.types import InferenceResult, StreamEvent

__all__ = ["FORMATS", "RecordedExchange", "Replay", "read_exchanges", "recorded_exception", "replay"]

FORMATS: Mapping[tuple[str, str], Protocol] = {
    ("anthropic", "chat-completions"): OpenAIChatProtocol(COMPATIBLE),
    ("anthropic", "messages"): AnthropicMessagesProtocol(),
    ("azure-openai", "chat-completions"): OpenAIChatProtocol(AZURE),
    ("azure-openai", "messages"): AnthropicMessagesProtocol(),
    ("azure-openai", "responses"): OpenAIResponsesProtocol(AZURE_RESPONSES),
    ("llama-cpp-python", "chat-completions"): OpenAIChatProtocol(COMPATIBLE),
    ("llama-cpp-python", "in-process"): LlamaCppPythonProtocol(),
    ("llama-server", "chat-completions"): OpenAIChatProtocol(LLAMA_SERVER),
    ("llama-server", "messages"): AnthropicMessagesProtocol(),
    ("llama-server", "native-completion"): LlamaCompletionProtocol(),
    ("llama-server", "responses"): OpenAIResponsesProtocol(COMPATIBLE_RESPONSES),
    ("lmstudio", "chat-completions"): OpenAIChatProtocol(LM_STUDIO),
    ("lmstudio", "responses"): OpenAIResponsesProtocol(COMPATIBLE_RESPONSES),
    ("mlx-lm", "chat-completions"): OpenAIChatProtocol(MLX),
    ("ollama", "chat-completions"): OpenAIChatProtocol(COMPATIBLE),
    ("ollama", "native-chat"): OllamaChatProtocol(),
    ("openai-chat", "chat-completions"): OpenAIChatProtocol(OPENAI),
    ("openai-compatible", "chat-completions"): OpenAIChatProtocol(COMPATIBLE),
    ("openai-compatible", "messages"): AnthropicMessagesProtocol(),
    ("openai-compatible", "responses"): OpenAIResponsesProtocol(COMPATIBLE_RESPONSES),
    ("openai-responses", "responses"): OpenAIResponsesProtocol(),
    ("openrouter", "chat-completions"): OpenAIChatProtocol(OPENROUTER),
    ("openrouter", "responses"): OpenAIResponsesProtocol(OPENROUTER_RESPONSES),
}
"""Every inference surface of every backend, and who reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedExchange:
    """A recorded request and its answer."""

    id: str
    backend: str
    surface: str
    kind: str
    request: Mapping[str, Any]
    status: int
    headers: Mapping[str, str]
    body: bytes
    chunk_sizes: Sequence[int]

    @property
    def wire_format(self) -> Protocol | None:
        """Who reads the answer; None when the exchange is no inference."""
        if self.request["method"] not in {"POST", "CALL"} or self.request["path"].endswith("/compact"):
            return None
        return FORMATS.get((self.backend, self.surface))

    @property
    def streamed(self) -> bool:
        """Whether the answer came as a stream."""
        return self.kind in {"sse", "ndjson"}

    @property
    def reads(self) -> list[bytes]:
        """The body in the pieces in which it was received, as far as these are known."""
        pieces: list[bytes] = []
        rest = self.body
        for size in self.chunk_sizes:
            pieces.append(rest[:size])
            rest = rest[size:]
        return [*pieces, rest] if rest or not pieces else pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a wire format made of an exchange: an answer or an error, and the events up to it."""

    result: InferenceResult | None = None
    error: AirframeError | None = None
    events: Sequence[StreamEvent] = ()


def read_exchanges(folder: Path) -> Iterator[RecordedExchange]:
    """The exchanges that have a wire format here."""
    for entry in json.loads((folder / "index.json").read_text(encoding="utf-8")):
        if (entry["backend"], entry["surface"]) not in FORMATS:
            continue
        recorded = json.loads((folder / entry["file"]).read_text(encoding="utf-8"))
        response = recorded["response"]
        exchange = RecordedExchange(
            id=entry["id"],
            backend=entry["backend"],
            surface=entry["surface"],
            kind=entry["kind"],
            request=recorded["request"],
            status=response["status"],
            headers={name.lower(): value for name, value in response["headers"]},
            body=response["body"].encode(),
            chunk_sizes=response.get("chunk_sizes") or [],
        )
        if exchange.request["method"] == "CALL":
            exchange = _through_the_seam(exchange)
        if exchange.wire_format is not None:
            yield exchange


def replay(exchange: RecordedExchange, pieces: Sequence[bytes] | None = None) -> Replay:
    """Decode the answer; `pieces` are its bytes, cut otherwise than they came."""
    wire_format = exchange.wire_format
    assert wire_format is not None, f"{exchange.id} is no inference"
    events: list[StreamEvent] = []
    try:
        if exchange.status >= 300:
            return Replay(error=wire_format.classify_error(exchange.status, exchange.headers, exchange.body))
        if not exchange.streamed:
            return Replay(result=wire_format.decode(exchange.body, DecodeOptions()))
        decoder = wire_format.stream_decoder(DecodeOptions())
        for piece in exchange.reads if pieces is None else pieces:
            decoder.feed(piece, events)
            if decoder.complete:
                break
        else:
            decoder.finish(events)
        return Replay(result=decoder.result(), events=events)
    except AirframeError as error:
        return Replay(error=error, events=events)


def recorded_exception(exception: Mapping[str, str]) -> Exception:
    """An exception of the type and with the message that were recorded."""
    kind: type[Exception] = type(exception["type"], (Exception,), {})
    return kind(exception["message"])


def _through_the_seam(call: RecordedExchange) -> RecordedExchange:
    """A call in process as its answer comes to the wire format: one event for each chunk, and a status for an error."""
    documents = [json.loads(line) for line in call.body.splitlines()]
    if "exception" in documents[0]:
        error = error_document(recorded_exception(documents[0]["exception"]))
        return replace(call, surface="in-process", status=json.loads(error)["error"]["code"], body=error)
    if not call.streamed:
        return replace(call, surface="in-process")
    body = b"".join(map(as_event, call.body.splitlines()))
    return replace(call, surface="in-process", kind="sse", body=body, chunk_sizes=())
