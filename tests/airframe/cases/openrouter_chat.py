"""Chat completions as OpenRouter has them: comments, reasoning in blocks, a finish reason that comes twice, a cost."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from airframe.adapters import OpenRouterAdapter
from airframe.errors import ErrorCategory
from airframe.protocols import OPENROUTER, OpenAIChatProtocol
from airframe.testing.conformance import ConformanceCase, ErrorAnswer
from airframe.types import FinishReason, InferenceResult, ReasoningPart, TextPart, ToolCall, Usage

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openrouter_chat"

EXPECTED = InferenceResult(
    content=(
        ReasoningPart(
            text="Two cities, two calls.",
            issuer="openrouter",
            raw=[
                {
                    "type": "reasoning.text",
                    "text": "Two cities, two calls.",
                    "signature": "EqQBmadeup==",
                    "format": "anthropic-claude-v1",
                    "index": 0,
                }
            ],
        ),
        TextPart("Let me look at the weather."),
        ToolCall(id="call_one1", name="get_weather", arguments='{"city":"Oslo"}'),
        ToolCall(id="call_two2", name="get_weather", arguments='{"city":"Lima"}'),
    ),
    finish_reason=FinishReason.TOOL_CALLS,
    raw_finish_reason="tool_calls",
    usage=Usage(
        input_tokens=82,
        output_tokens=51,
        total_tokens=133,
        cache_read_tokens=16,
        cache_write_tokens=0,
        reasoning_tokens=9,
        input_audio_tokens=0,
    ),
    reported_cost=Decimal("0.00123"),
    model="anthropic/claude-sonnet-5",
    response_id="gen-1795100000-abc",
)

ERRORS = (
    ErrorAnswer(
        status=401,
        body=b'{"error":{"message":"No cookie auth credentials found","code":401}}',
        category=ErrorCategory.AUTH,
    ),
    ErrorAnswer(
        status=402,
        body=b'{"error":{"message":"Insufficient credits","code":402}}',
        category=ErrorCategory.BILLING,
    ),
    ErrorAnswer(
        status=404,
        body=b'{"error":{"code":404,"message":"No endpoints found that support tool use."}}',
        category=ErrorCategory.UNSUPPORTED,
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":{"code":400,"message":"x/y is not a valid model ID"}}',
        category=ErrorCategory.NOT_FOUND,
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":{"code":400,"message":"Provider returned error","metadata":{"provider_name":"OpenAI","raw":'
        b'"{\\"error\\":{\\"message\\":\\"Unsupported parameter: \'temperature\' is not supported with this model.\\",'
        b'\\"type\\":\\"invalid_request_error\\",\\"param\\":\\"temperature\\",\\"code\\":null}}"}}}',
        category=ErrorCategory.UNSUPPORTED,
    ),
    ErrorAnswer(
        status=403,
        body=b'{"error":{"code":403,"message":"Provider returned error","metadata":{"provider_name":"xAI","raw":'
        b'"{\\"error\\":\\"Content violates usage guidelines.\\"}"}}}',
        category=ErrorCategory.CONTENT_FILTER,
    ),
)

CASES = (
    ConformanceCase(
        name="openrouter",
        kind="openrouter",
        make_adapter=OpenRouterAdapter,
        protocol=OpenAIChatProtocol(OPENROUTER),
        stream=(RECORDINGS / "claude_tools.sse").read_bytes(),
        body=(RECORDINGS / "claude_tools.json").read_bytes(),
        proof=b'"finish_reason":"tool_calls"',
        end=b"[DONE]",
        expected=EXPECTED,
        word="weather",
        stream_error=b'data: {"id":"gen-1","object":"chat.completion.chunk","error":{"code":502,"message":"Provider '
        b'disconnected","metadata":{"error_type":"provider_unavailable"}},"choices":[{"index":0,"delta":'
        b'{"content":""},"finish_reason":"error"}]}\n\n',
        stream_error_category=ErrorCategory.OVERLOADED,
        errors=ERRORS,
        models=("/models", b'{"data":[{"id":"x/y","context_length":200000}]}', ["x/y"]),
        pings=(b": OPENROUTER PROCESSING\n\n", b": \n\n", b"\n"),
        replies={"/key": b'{"data":{"label":"a key"}}'},
        base_path="/api/v1",
    ),
)
