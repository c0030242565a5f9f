"""Chat completions, from OpenAI and from servers that resemble it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from airframe.adapters import LlamaServerAdapter, OpenAIChatAdapter, OpenAICompatibleAdapter
from airframe.errors import ErrorCategory
from airframe.protocols import COMPATIBLE, LLAMA_SERVER, OpenAIChatProtocol
from airframe.testing.conformance import ConformanceCase, ErrorAnswer
from airframe.types import FinishReason, InferenceResult, ReasoningPart, TextPart, ToolCall, Usage

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openai_chat"

MODELS = b'{"object":"list","data":[{"id":"gpt-6-sol","object":"model","owned_by":"openai"},{"id":"gpt-6-luna"}]}'

OPENAI_TOOLS = InferenceResult(
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
    response_id="chatcmpl-Dw3tools",
    service_tier="default",
)

LLAMA_THINKING = InferenceResult(
    content=(
        ReasoningPart(text="Let me think about this first", issuer="llama_server"),
        TextPart("Hello from the tiny scripted model; it holds one short answer, so each run reads alike."),
    ),
    finish_reason=FinishReason.STOP,
    raw_finish_reason="stop",
    model="models/tiny.gguf",
    response_id="chatcmpl-98kSQhUlwhuri6k7KcCXCKN0391mQGyx",
)
LLAMA_THINKING_BODY = replace(
    LLAMA_THINKING,
    usage=Usage(input_tokens=22, output_tokens=27, total_tokens=49, cache_read_tokens=21),
    response_id="chatcmpl-6qcWe833GyN1tcc54iIoQfbRXFk6Bja7",
)

OPENAI_ERRORS = (
    ErrorAnswer(
        status=401,
        body=b'{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,'
        b'"code":"invalid_api_key"}}',
        category=ErrorCategory.AUTH,
    ),
    ErrorAnswer(
        status=429,
        body=b'{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,'
        b'"code":"insufficient_quota"}}',
        category=ErrorCategory.BILLING,
    ),
    ErrorAnswer(
        status=429,
        body=b'{"error":{"message":"Rate limit reached. Please try again in 1.2s.","type":"tokens","param":null,'
        b'"code":"rate_limit_exceeded"}}',
        category=ErrorCategory.RATE_LIMIT,
        headers={"retry-after": "2"},
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":{"message":"This model\'s maximum context length is 128000 tokens.",'
        b'"type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}',
        category=ErrorCategory.CONTEXT_LENGTH,
    ),
    ErrorAnswer(status=503, body=b"<html><h1>503</h1></html>", category=ErrorCategory.OVERLOADED),
)

LLAMA_ERRORS = (
    ErrorAnswer(
        status=503,
        body=b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}',
        category=ErrorCategory.LOADING,
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":{"code":400,"message":"request (9019 tokens) exceeds the available context size (2048 tokens), '
        b'try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9019,"n_ctx":2048}}',
        category=ErrorCategory.CONTEXT_LENGTH,
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":{"code":400,"message":"model \'nope\' not found","type":"invalid_request_error"}}',
        category=ErrorCategory.NOT_FOUND,
    ),
    ErrorAnswer(
        status=500,
        body=b'{"error":{"code":500,"message":"[json.exception.parse_error.101] parse error at line 1",'
        b'"type":"server_error"}}',
        category=ErrorCategory.INVALID_REQUEST,
    ),
)

CASES = (
    ConformanceCase(
        name="openai",
        kind="openai",
        make_adapter=OpenAIChatAdapter,
        protocol=OpenAIChatProtocol(),
        stream=(RECORDINGS / "openai_tools.sse").read_bytes(),
        body=(RECORDINGS / "openai_tools.json").read_bytes(),
        proof=b'"finish_reason":"tool_calls"',
        end=b"[DONE]",
        expected=OPENAI_TOOLS,
        word="weather",
        stream_error=b'data: {"error":{"message":"The server had an error.","type":"server_error","param":null,'
        b'"code":null}}\n\n',
        stream_error_category=ErrorCategory.SERVER,
        errors=OPENAI_ERRORS,
        models=("/models", MODELS, ["gpt-6-sol", "gpt-6-luna"]),
        base_path="/v1",
    ),
    ConformanceCase(
        name="openai_compatible",
        kind="openai_compatible",
        make_adapter=OpenAICompatibleAdapter,
        protocol=OpenAIChatProtocol(COMPATIBLE),
        stream=(RECORDINGS / "openai_tools.sse").read_bytes(),
        body=(RECORDINGS / "openai_tools.json").read_bytes(),
        proof=b'"finish_reason":"tool_calls"',
        end=b"[DONE]",
        expected=OPENAI_TOOLS,
        word="weather",
        # Groq names the event, LM Studio too; the code is an integer at SGLang.
        stream_error=b'event: error\ndata: {"error":{"object":"error","message":"No capacity.","type":"x",'
        b'"code":503}}\n\n',
        stream_error_category=ErrorCategory.OVERLOADED,
        errors=OPENAI_ERRORS,
        models=("/models", MODELS, ["gpt-6-sol", "gpt-6-luna"]),
        base_path="/v1",
    ),
    ConformanceCase(
        name="llama_server (openai)",
        kind="llama_server",
        make_adapter=LlamaServerAdapter,
        protocol=OpenAIChatProtocol(LLAMA_SERVER),
        stream=(RECORDINGS / "llama_server_thinking.sse").read_bytes(),
        body=(RECORDINGS / "llama_server_thinking.json").read_bytes(),
        proof=b'"finish_reason":"stop"',
        end=b"[DONE]",
        expected=LLAMA_THINKING,  # the stream was not asked for usage
        expected_body=LLAMA_THINKING_BODY,
        word="scripted",
        stream_error=b'data: {"error":{"code":500,"message":"Context size has been exceeded.",'
        b'"type":"server_error"}}\n\n',
        stream_error_category=ErrorCategory.CONTEXT_LENGTH,
        errors=LLAMA_ERRORS,
        models=("/models", b'{"data":[{"id":"tiny","meta":{"n_ctx":2048}}]}', ["tiny"]),
    ),
)
