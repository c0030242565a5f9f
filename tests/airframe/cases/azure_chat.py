"""Chat completions as Azure has them: a first chunk about the prompt, and filters' findings on every other."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from airframe.adapters import AzureOpenAIAdapter
from airframe.errors import ErrorCategory
from airframe.protocols import AZURE, OpenAIChatProtocol
from airframe.testing.conformance import ConformanceCase, ErrorAnswer
from airframe.types import FinishReason, InferenceResult, TextPart, ToolCall, Usage

RECORDINGS = Path(__file__).parents[1] / "recordings" / "azure_chat"

EXPECTED = InferenceResult(
    content=(
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
        reasoning_tokens=9,
        input_audio_tokens=0,
        output_audio_tokens=0,
    ),
    model="gpt-5.4-mini-2026-03-17",
    response_id="chatcmpl-Az3tools",
)

FILTERED = (
    b'{"error":{"message":"The response was filtered due to the prompt triggering the content management policy.",'
    b'"type":null,"param":"prompt","code":"content_filter","status":400,"innererror":'
    b'{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}'
)

ERRORS = (
    ErrorAnswer(
        status=401,
        body=b'{"error":{"code":"401","message":"Access denied due to invalid subscription key."}}',
        category=ErrorCategory.AUTH,
    ),
    ErrorAnswer(
        status=404,
        body=b'{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}',
        category=ErrorCategory.NOT_FOUND,
    ),
    ErrorAnswer(
        status=404,
        body=b'{"error":{"code":"404","message":"Resource not found"}}',
        category=ErrorCategory.NOT_FOUND,
    ),
    ErrorAnswer(
        status=429,
        body=b'{"error":{"code":"RateLimitReached","message":"Please retry after 6 seconds."}}',
        category=ErrorCategory.RATE_LIMIT,
        headers={"retry-after": "1", "retry-after-ms": "0"},
    ),
    ErrorAnswer(status=400, body=FILTERED, category=ErrorCategory.CONTENT_FILTER),
    ErrorAnswer(
        status=422,
        body=b'{"error":{"code":"Invalid input","message":"invalid input error","status":422,"details":[]}}',
        category=ErrorCategory.INVALID_REQUEST,
    ),
)

CASES = tuple(
    ConformanceCase(
        name=name,
        kind="azure",
        make_adapter=make_adapter,
        protocol=OpenAIChatProtocol(AZURE),
        stream=(RECORDINGS / "gpt_tools.sse").read_bytes(),
        body=(RECORDINGS / "gpt_tools.json").read_bytes(),
        proof=b'"finish_reason":"tool_calls"',
        end=b"[DONE]",
        expected=EXPECTED,
        word="weather",
        stream_error=b"data: " + FILTERED + b"\n\n",
        stream_error_category=ErrorCategory.CONTENT_FILTER,
        errors=ERRORS,
        models=("/models", b'{"data":[{"id":"gpt-5.4-mini"}]}', ["gpt-5.4-mini"]),
    )
    for name, make_adapter in (
        ("azure", AzureOpenAIAdapter),
        ("azure (deployment)", partial(AzureOpenAIAdapter, api_version="2024-10-21")),
    )
)
