"""Exchanges recorded with real backends, read again from their bytes.

The environment variable AIRFRAME_EXCHANGES names their folder, or they lie beside the checkout. Elsewhere these tests
are skipped, and the recordings in this repository have to do (test_conformance.py).
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airframe.errors import BackendError, ErrorCategory, ProtocolError
from airframe.testing.recorded import FORMATS, RecordedExchange, read_exchanges, replay
from airframe.types import InferenceResult

C = ErrorCategory
ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("AIRFRAME_EXCHANGES") or ROOT.parent / "shared" / "wire" / "exchanges")

needs_recordings = pytest.mark.skipif(
    not (FOLDER / "index.json").is_file(), reason="no recorded exchanges: AIRFRAME_EXCHANGES names their folder"
)
each_surface = pytest.mark.parametrize(("backend", "surface"), FORMATS, ids=str)

# Recordings that hold no answer, and why.
BROKEN = {
    "azure-openai-9bacdfa5e637": "a stream of chat completions, filed under the path of Responses",
    "azure-openai-b15034931dd4": "a chat completion, filed under the path of Responses",
    "llama-cpp-python-429c021c4311": "llama-cpp-python lost its own error: a 200 with an empty body",
    "openrouter-2cd84b50617f": "the provider behind OpenRouter said nothing: no content, no finish reason, then [DONE]",
}

# What each error is, by backend, status and words of its body; the first row that fits counts. By hand, after the
# vendors' documentation.
ERRORS: Sequence[tuple[str, int, str, ErrorCategory]] = (
    ("anthropic", 400, "does not support effort level", C.UNSUPPORTED),
    ("anthropic", 400, "invalid_request_error", C.INVALID_REQUEST),
    ("anthropic", 401, "authentication_error", C.AUTH),
    ("anthropic", 404, "not_found_error", C.NOT_FOUND),
    ("azure-openai", 200, "ResponsibleAIPolicyViolation", C.CONTENT_FILTER),
    ("azure-openai", 404, "DeploymentNotFound", C.NOT_FOUND),
    ("azure-openai", 404, "Resource not found", C.NOT_FOUND),
    ("azure-openai", 422, "Invalid input", C.INVALID_REQUEST),
    ("azure-openai", 429, "RateLimitReached", C.RATE_LIMIT),
    ("llama-cpp-python", 400, "context_length_exceeded", C.CONTEXT_LENGTH),
    ("llama-cpp-python", 400, "exceed context window", C.CONTEXT_LENGTH),
    ("llama-cpp-python", 400, "logprobs is not supported", C.UNSUPPORTED),
    ("llama-cpp-python", 400, "not found in tools", C.INVALID_REQUEST),
    ("llama-cpp-python", 400, "AssertionError", C.INVALID_REQUEST),
    ("llama-cpp-python", 400, "Invalid chat handler", C.INVALID_REQUEST),
    ("llama-cpp-python", 500, "validation error", C.INVALID_REQUEST),
    ("llama-cpp-python", 500, "Internal Server Error", C.SERVER),
    ("llama-server", 200, "Context size has been exceeded", C.CONTEXT_LENGTH),
    ("llama-server", 400, "exceed_context_size_error", C.CONTEXT_LENGTH),
    ("llama-server", 400, "model 'nope' not found", C.NOT_FOUND),
    ("llama-server", 400, "invalid_request_error", C.INVALID_REQUEST),
    ("llama-server", 500, "Context size has been exceeded", C.CONTEXT_LENGTH),
    ("llama-server", 500, "parse_error", C.INVALID_REQUEST),
    ("llama-server", 500, "both json_schema and grammar", C.INVALID_REQUEST),
    ("llama-server", 500, "requires --jinja", C.UNSUPPORTED),
    ("llama-server", 500, "cannot make GET request", C.SERVER),
    ("llama-server", 500, "'messages' is required", C.SERVER),  # in Anthropic's format, which knows no llama.cpp
    ("mlx-lm", 400, "error", C.INVALID_REQUEST),
    ("mlx-lm", 404, "empty conversation", C.INVALID_REQUEST),
    ("mlx-lm", 404, "Only 'text' content type", C.UNSUPPORTED),
    ("mlx-lm", 404, "Cannot find an appropriate cached snapshot", C.NOT_FOUND),
    ("ollama", 200, "unexpected EOF", C.SERVER),
    ("ollama", 400, "error", C.INVALID_REQUEST),
    ("ollama", 401, "Unauthorized", C.AUTH),
    ("ollama", 404, "not found", C.NOT_FOUND),
    ("ollama", 500, "invalid JSON schema", C.INVALID_REQUEST),
    ("ollama", 500, "invalid format", C.INVALID_REQUEST),
    ("ollama", 500, "must be of type", C.INVALID_REQUEST),
    ("ollama", 500, "unexpected EOF", C.SERVER),
    ("ollama", 503, "server busy", C.OVERLOADED),
    ("openai-chat", 400, "unsupported_parameter", C.UNSUPPORTED),
    ("openai-chat", 400, "unsupported_value", C.UNSUPPORTED),
    ("openai-chat", 400, "Web search options not supported", C.UNSUPPORTED),
    ("openai-chat", 400, "decimal_above_max_value", C.INVALID_REQUEST),
    ("openai-chat", 400, "invalid_function_parameters", C.INVALID_REQUEST),
    ("openai-chat", 400, "invalid_image_format", C.INVALID_REQUEST),
    ("openai-chat", 400, "invalid_image_url", C.INVALID_REQUEST),
    ("openai-chat", 400, "missing_required_parameter", C.INVALID_REQUEST),
    ("openai-chat", 401, "invalid_api_key", C.AUTH),
    ("openai-chat", 404, "tools is not supported", C.UNSUPPORTED),
    ("openai-chat", 404, "not a chat model", C.NOT_FOUND),
    ("openai-chat", 404, "model_not_found", C.NOT_FOUND),
    ("openai-compatible", 200, "tool_use_failed", C.SERVER),
    ("openai-compatible", 400, "tool_use_failed", C.SERVER),
    ("openai-compatible", 400, "maximum context length", C.CONTEXT_LENGTH),
    ("openai-compatible", 400, "ContextWindowExceededError", C.CONTEXT_LENGTH),
    ("openai-compatible", 400, "Incorrect API key", C.AUTH),
    ("openai-compatible", 400, "Model not found", C.NOT_FOUND),
    ("openai-compatible", 400, "Invalid model", C.NOT_FOUND),
    ("openai-compatible", 400, "Server is pinned to", C.NOT_FOUND),
    ("openai-compatible", 400, "not a multimodal model", C.UNSUPPORTED),
    ("openai-compatible", 400, "does not support", C.UNSUPPORTED),
    ("openai-compatible", 400, "", C.INVALID_REQUEST),
    ("openai-compatible", 401, "", C.AUTH),
    ("openai-compatible", 403, "Forbidden", C.PERMISSION),
    ("openai-compatible", 404, "", C.NOT_FOUND),
    ("openai-compatible", 422, "detail", C.INVALID_REQUEST),
    ("openai-compatible", 429, "throttling_error", C.RATE_LIMIT),
    ("openai-compatible", 500, "image input is not supported", C.UNSUPPORTED),
    ("openai-compatible", 500, "Internal Server Error", C.SERVER),
    ("openai-responses", 400, "context_length_exceeded", C.CONTEXT_LENGTH),
    ("openai-responses", 400, "model_not_found", C.NOT_FOUND),
    ("openai-responses", 400, "unsupported_parameter", C.UNSUPPORTED),
    ("openai-responses", 400, "invalid_function_parameters", C.INVALID_REQUEST),
    ("openai-responses", 400, "without its required following item", C.INVALID_REQUEST),
    ("openai-responses", 401, "invalid_api_key", C.AUTH),
    ("openrouter", 400, "Unsupported parameter", C.UNSUPPORTED),
    ("openrouter", 401, "No cookie auth", C.AUTH),
    ("openrouter", 404, "No endpoints found that support tool use", C.UNSUPPORTED),
)


@cache
def recorded() -> Mapping[tuple[str, str], Sequence[RecordedExchange]]:
    found: dict[tuple[str, str], list[RecordedExchange]] = {}
    for exchange in read_exchanges(FOLDER):
        found.setdefault((exchange.backend, exchange.surface), []).append(exchange)
    return found


def answers(backend: str, surface: str) -> Iterator[tuple[RecordedExchange, InferenceResult]]:
    for exchange in recorded().get((backend, surface), ()):
        if (result := replay(exchange).result) is not None:
            yield exchange, result


@needs_recordings
@each_surface
def test_every_exchange_is_understood(backend: str, surface: str) -> None:
    """Whatever a backend was recorded to send is an answer or an error of its own; the rest is known to be broken."""
    failed = {
        exchange.id: str(done.error)
        for exchange in recorded().get((backend, surface), ())
        if isinstance((done := replay(exchange)).error, ProtocolError)
    }
    assert {id: said for id, said in failed.items() if id not in BROKEN} == {}
    here = {exchange.id for exchange in recorded().get((backend, surface), ())}
    assert {id for id in BROKEN if id in here} == set(failed), "a recording that is called broken is understood"


@needs_recordings
def test_there_are_enough_of_them() -> None:
    """The other tests cannot pass by finding nothing."""
    assert sum(map(len, recorded().values())) > 1500


@needs_recordings
def test_errors_have_the_category_of_the_table() -> None:
    """Each recorded error is classified as the table above says, and the table holds no row without a recording."""
    wrong: list[str] = []
    used: Counter[int] = Counter()
    for exchange in (exchange for group in recorded().values() for exchange in group):
        error = replay(exchange).error
        if not isinstance(error, BackendError):
            continue
        text = exchange.body.decode()
        fitting = (
            number
            for number, (backend, status, words, _) in enumerate(ERRORS)
            if backend == exchange.backend and status == exchange.status and words in text
        )
        row = next(fitting, None)
        if row is None:
            wrong.append(f"{exchange.id} {exchange.status}: no row for {text[:200]}")
        else:
            used[row] += 1
            if error.category is not ERRORS[row][3]:
                wrong.append(f"{exchange.id}: {error.category}, not {ERRORS[row][3]}: {error}")
    assert wrong == []
    assert [ERRORS[number] for number in range(len(ERRORS)) if number not in used] == []


@needs_recordings
@each_surface
def test_streams_do_not_depend_on_how_they_were_cut(backend: str, surface: str) -> None:
    """Cut as they were received, whole, or anywhere else: the same events."""
    for exchange in recorded().get((backend, surface), ()):
        if not exchange.streamed or exchange.id in BROKEN:
            continue
        as_received = replay(exchange)
        size = 1 if len(exchange.body) < 8000 else 61
        anyhow = [exchange.body[at : at + size] for at in range(0, len(exchange.body), size)]
        for pieces in ([exchange.body], anyhow):
            again = replay(exchange, pieces)
            assert again.events == as_received.events, exchange.id
            assert again.result == as_received.result, exchange.id
            assert repr(again.error) == repr(as_received.error), exchange.id


@needs_recordings
@pytest.mark.parametrize(
    ("backend", "surface"), [found for found in FORMATS if found[1] in {"chat-completions", "in-process"}], ids=str
)
def test_chat_completions_say_what_a_simple_reader_finds(backend: str, surface: str) -> None:
    """Text, number of calls, finish reason and usage are those found by splitting lines and joining deltas."""
    for exchange, result in answers(backend, surface):
        simple = read_simply(exchange)
        found = {
            "text": result.text,
            "arguments": [call.arguments for call in result.tool_calls],
            "finish": result.raw_finish_reason,
            "input": result.usage.input_tokens,
        }
        assert found == simple, exchange.id


def read_simply(exchange: RecordedExchange) -> dict[str, object]:
    """The first choice of chat completions, read without regard to errors, order and broken servers."""
    if exchange.streamed:
        lines = [line[5:].strip() for line in exchange.body.decode().split("\n") if line.startswith("data:")]
        documents = [json.loads(line) for line in lines if line != "[DONE]"]
    else:
        documents = [json.loads(exchange.body)]
    text, finish, usage = "", None, None
    calls: dict[object, str] = {}
    for document in documents:
        usage = document.get("usage") or usage
        for choice in document.get("choices") or ():
            if choice.get("index"):
                continue
            finish = finish or choice.get("finish_reason")
            message: dict[str, Any] = choice.get("delta") or choice.get("message") or {}
            text += written(message.get("content"))
            for position, call in enumerate(message.get("tool_calls") or ()):
                key = call.get("index", position) if exchange.streamed else position
                calls[key] = calls.get(key, "") + (call["function"].get("arguments") or "")
    return {
        "text": text,
        "arguments": [arguments or "{}" for arguments in calls.values()],
        "finish": finish,
        "input": usage.get("prompt_tokens") if usage else None,
    }


def written(content: str | list[dict[str, Any]] | None) -> str:
    """The text of a content, which may be a list of blocks."""
    if isinstance(content, list):
        return "".join(block.get("text", "") for block in content if block["type"] == "text")
    return content or ""


def test_the_report_tells_what_was_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`scripts/replay_report.py` counts per backend, names what was not understood, and then fails."""
    spec = importlib.util.spec_from_file_location("replay_report", ROOT / "scripts" / "replay_report.py")
    assert spec is not None
    assert spec.loader is not None
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    good = {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}], "x_new": 1}
    write_exchanges(tmp_path, good=json.dumps(good))
    assert report.main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "openai-chat chat-completions: 1 replayed\n    finish: stop 1\n    unknown fields: x_new 1\n" in said
    write_exchanges(tmp_path, good=json.dumps(good), bad="{}")
    assert report.main([str(tmp_path)]) == 1
    assert "    bad 200 json: protocol: the answer has no choices" in capsys.readouterr().out


def write_exchanges(folder: Path, **bodies: str) -> None:
    for id, body in bodies.items():
        headers: list[tuple[str, str]] = []
        response = {"status": 200, "headers": headers, "body": body}
        request = {"method": "POST", "path": "/"}
        (folder / f"{id}.json").write_text(json.dumps({"request": request, "response": response}))
    index = [
        {"id": id, "file": f"{id}.json", "backend": "openai-chat", "surface": "chat-completions", "kind": "json"}
        for id in bodies
    ]
    (folder / "index.json").write_text(json.dumps(index))
