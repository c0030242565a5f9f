"""Ollama's own /api/chat."""

from __future__ import annotations

from pathlib import Path

from airframe.adapters import OllamaAdapter
from airframe.errors import ErrorCategory
from airframe.protocols import OllamaChatProtocol
from airframe.testing.conformance import ConformanceCase, ErrorAnswer
from airframe.types import FinishReason, InferenceResult, ReasoningPart, TextPart, ToolCall, Usage

RECORDINGS = Path(__file__).parents[1] / "recordings" / "ollama_chat"

COUNTS = frozenset({"prompt_eval_count", "eval_count"})
TAGS = b'{"models":[{"name":"qwen3:4b","model":"qwen3:4b","size":24614400},{"name":"tiny:latest","size":869193}]}'
RUNNING = b'{"models":[{"name":"qwen3:4b","model":"qwen3:4b","size_vram":0,"context_length":4096}]}'
FAILURE = b'{"error":"an error was encountered while running the model: unexpected EOF"}\n'

ERRORS = (
    ErrorAnswer(
        status=404,
        body=b'{"error":"model \\"no-such-model\\" not found, try pulling it first"}',
        category=ErrorCategory.NOT_FOUND,
    ),
    ErrorAnswer(status=404, body=b"404 page not found", category=ErrorCategory.UNSUPPORTED),
    ErrorAnswer(status=400, body=b'{"error":"unexpected EOF"}', category=ErrorCategory.INVALID_REQUEST),
    ErrorAnswer(
        status=400, body=b'{"error":"\\"tiny\\" does not support thinking"}', category=ErrorCategory.UNSUPPORTED
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":"json: cannot unmarshal string into Go struct field ChatRequest.think of type bool"}',
        category=ErrorCategory.UNSUPPORTED,
    ),
    ErrorAnswer(
        status=500,
        body=b'{"error":"option \\"temperature\\" must be of type float32"}',
        category=ErrorCategory.INVALID_REQUEST,
    ),
    ErrorAnswer(
        status=500,
        body=b'{"error":"invalid format: \\"\\\\\\"yaml\\\\\\"\\"; expected \\"json\\" or a valid JSON Schema object"}',
        category=ErrorCategory.INVALID_REQUEST,
    ),
    ErrorAnswer(status=500, body=FAILURE, category=ErrorCategory.SERVER),
    ErrorAnswer(
        status=401,
        body=b'{"error":"unauthorized","signin_url":"https://ollama.com/connect"}',
        category=ErrorCategory.AUTH,
    ),
    ErrorAnswer(
        status=503,
        body=b'{"error":"server busy, please try again.  maximum pending requests exceeded"}',
        category=ErrorCategory.OVERLOADED,
    ),
)

CASES = (
    ConformanceCase(
        name="ollama",
        kind="ollama",
        make_adapter=OllamaAdapter,
        protocol=OllamaChatProtocol(),
        stream=(RECORDINGS / "tiny_thinking.ndjson").read_bytes(),
        body=(RECORDINGS / "tiny_thinking.json").read_bytes(),
        end=b'"done":true',
        expected=InferenceResult(
            content=(
                ReasoningPart(text="Let me think about this first", issuer="ollama"),
                TextPart("Hello from the tiny scripted model; it holds one short answer, so each run reads alike."),
            ),
            finish_reason=FinishReason.STOP,
            raw_finish_reason="stop",
            usage=Usage(input_tokens=21, output_tokens=28, total_tokens=49),
            model="tiny",
        ),
        word="scripted",
        stream_error=FAILURE,
        stream_error_category=ErrorCategory.SERVER,
        errors=ERRORS,
        usage_fields=COUNTS,
        replies={"/api/ps": RUNNING},
        models=("/api/tags", TAGS, ["qwen3:4b", "tiny:latest"]),
        framing="ndjson",
        pings=(b"\n",),
        unknown_event=b'{"x_value": 1}\n',
    ),
    ConformanceCase(
        name="ollama (tools)",
        kind="ollama",
        make_adapter=OllamaAdapter,
        protocol=OllamaChatProtocol(),
        stream=(RECORDINGS / "qwen_tools.ndjson").read_bytes(),
        body=(RECORDINGS / "qwen_tools.json").read_bytes(),
        end=b'"done":true',
        expected=InferenceResult(
            content=(
                ReasoningPart(text="Two cities, two calls.", issuer="ollama"),
                TextPart("Let me look at the weather."),
                ToolCall(id="call_one1", name="get_weather", arguments='{"city":"Oslo"}'),
                ToolCall(id="call_two2", name="get_weather", arguments='{"city":"Lima"}'),
            ),
            finish_reason=FinishReason.TOOL_CALLS,
            raw_finish_reason="stop",
            usage=Usage(input_tokens=236, output_tokens=61, total_tokens=297),
            model="qwen3:4b",
        ),
        word="look",
        stream_error=FAILURE,
        stream_error_category=ErrorCategory.SERVER,
        errors=ERRORS,
        usage_fields=COUNTS,
        framing="ndjson",
        pings=(b"\n",),
        unknown_event=b'{"x_value": 1}\n',
    ),
)
