"""llama.cpp's own completions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from airframe.adapters import LlamaServerAdapter
from airframe.errors import ErrorCategory
from airframe.protocols import LlamaCompletionProtocol
from airframe.testing.conformance import ConformanceCase, ErrorAnswer
from airframe.types import FinishReason, InferenceResult, TextPart, Usage

RECORDINGS = Path(__file__).parents[1] / "recordings" / "llama_completion"

CASES = (
    ConformanceCase(
        name="llama_server (native)",
        kind="llama_server",
        make_adapter=partial(LlamaServerAdapter, api_type="native"),
        protocol=LlamaCompletionProtocol(),
        stream=(RECORDINGS / "completion.sse").read_bytes(),
        body=(RECORDINGS / "completion.json").read_bytes(),
        end=b'"stop":true',
        expected=InferenceResult(
            content=(TextPart("Hello from the tiny scripted"),),
            finish_reason=FinishReason.LENGTH,
            raw_finish_reason="limit",
            usage=Usage(input_tokens=1, output_tokens=5, total_tokens=6, cache_read_tokens=0),
            model="models/tiny.gguf",
        ),
        word="scripted",
        stream_error=b'data: {"error":{"code":500,"message":"Context size has been exceeded.",'
        b'"type":"server_error"}}\n\n',
        stream_error_category=ErrorCategory.CONTEXT_LENGTH,
        errors=(
            ErrorAnswer(
                status=503,
                body=b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}',
                category=ErrorCategory.LOADING,
            ),
            ErrorAnswer(
                status=400,
                body=b'{"error":{"code":400,"message":"Failed to initialize samplers: failed to parse grammar",'
                b'"type":"invalid_request_error"}}',
                category=ErrorCategory.INVALID_REQUEST,
            ),
        ),
        usage_fields=frozenset({"tokens_evaluated", "tokens_predicted", "timings"}),
        replies={"/apply-template": b'{"prompt": "<user>Say it.<assistant>"}'},
    ),
)
