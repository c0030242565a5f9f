"""Chat completions of local servers: LM Studio and mlx_lm.server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from airframe.adapters import LMStudioAdapter, MLXAdapter
from airframe.errors import ErrorCategory
from airframe.protocols import LM_STUDIO, MLX, OpenAIChatProtocol
from airframe.testing.conformance import ConformanceCase, ErrorAnswer
from airframe.types import FinishReason, InferenceResult, ReasoningPart, TextPart, ToolCall, Usage

RECORDINGS = Path(__file__).parents[1] / "recordings"

LM_STUDIO_MODELS = b"""{"models":[
    {"type":"llm","publisher":"openai","key":"openai/gpt-oss-20b","max_context_length":131072,
     "loaded_instances":[{"id":"openai/gpt-oss-20b","config":{"context_length":8192}}]},
    {"type":"embedding","key":"nomic-embed","loaded_instances":[],"max_context_length":2048}]}"""

TWO_CALLS = (
    TextPart("Let me look at the weather."),
    ToolCall(id="call_one1", name="get_weather", arguments='{"city":"Oslo"}'),
    ToolCall(id="call_two2", name="get_weather", arguments='{"city":"Lima"}'),
)

MLX_THINKING = InferenceResult(
    content=(
        ReasoningPart(text="Let me think about this first", issuer="mlx"),
        TextPart("Hello from the tiny scripted model; it holds one short answer, so each run reads alike."),
    ),
    finish_reason=FinishReason.STOP,
    raw_finish_reason="stop",
    usage=Usage(input_tokens=22, output_tokens=27, total_tokens=49, cache_read_tokens=21),
    model="default_model",
    response_id="chatcmpl-7eec6cd2-e8d2-454c-bc6c-47cf6c4af87d",
)
MLX_ERRORS = (
    ErrorAnswer(
        status=400,
        body=b'{"error": "Invalid JSON in request body: Expecting value: line 1 column 1 (char 0)"}',
        category=ErrorCategory.INVALID_REQUEST,
    ),
    ErrorAnswer(
        status=404,
        body=b'{"error": "Only \'text\' content type is supported."}',
        category=ErrorCategory.UNSUPPORTED,
    ),
    ErrorAnswer(
        status=404,
        body=b'{"error": "Cannot apply chat template to an empty conversation. Provide at least one message."}',
        category=ErrorCategory.INVALID_REQUEST,
    ),
    ErrorAnswer(
        status=404,
        body=b'{"error": "Cannot find an appropriate cached snapshot folder for the specified revision."}',
        category=ErrorCategory.NOT_FOUND,
    ),
    ErrorAnswer(status=404, body=b"Not Found", category=ErrorCategory.NOT_FOUND),
    ErrorAnswer(
        status=411, body=b'{"error": "Content-Length header is required"}', category=ErrorCategory.INVALID_REQUEST
    ),
)

CASES = (
    ConformanceCase(
        name="lm_studio",
        kind="lm_studio",
        make_adapter=LMStudioAdapter,
        protocol=OpenAIChatProtocol(LM_STUDIO),
        stream=(RECORDINGS / "lm_studio_chat" / "gpt_oss_tools.sse").read_bytes(),
        body=(RECORDINGS / "lm_studio_chat" / "gpt_oss_tools.json").read_bytes(),
        proof=b'"finish_reason":"tool_calls"',
        end=b"[DONE]",
        expected=InferenceResult(
            content=(ReasoningPart(text="Two cities, two calls.", issuer="lm_studio"), *TWO_CALLS),
            finish_reason=FinishReason.TOOL_CALLS,
            raw_finish_reason="tool_calls",
            usage=Usage(input_tokens=82, output_tokens=51, total_tokens=133, reasoning_tokens=9),
            model="openai/gpt-oss-20b",
            response_id="chatcmpl-lmstudio3tools",
        ),
        word="look",
        stream_error=b'event: error\ndata: {"error":{"message":"Input does not fit in context length. The input has '
        b'31430 tokens, but the context length only supports 30000 tokens."},"message":"Input does not fit"}\n\n',
        stream_error_category=ErrorCategory.CONTEXT_LENGTH,
        errors=(
            ErrorAnswer(
                status=400,
                body=b'{"error":"The number of tokens to keep from the initial prompt is greater than the context '
                b'length (n_keep: 13055>= n_ctx: 4096). Try to load the model with a larger context length."}',
                category=ErrorCategory.CONTEXT_LENGTH,
            ),
            ErrorAnswer(
                status=400,
                body=b'{"error":"Cannot truncate prompt with n_keep (9019) >= n_ctx (4096)"}',
                category=ErrorCategory.CONTEXT_LENGTH,
            ),
            ErrorAnswer(
                status=400,
                body=b'{"error":"Trying to keep the first 9019 tokens when context the overflows."}',
                category=ErrorCategory.CONTEXT_LENGTH,
            ),
            ErrorAnswer(
                status=400,
                body=b'{"error":"Failed to load model \\"nope\\". Error: Model loading was stopped."}',
                category=ErrorCategory.NOT_FOUND,
            ),
            ErrorAnswer(
                status=404,
                body=b'{"error":{"message":"No models loaded. Please load a model.","code":"model_not_found"}}',
                category=ErrorCategory.NOT_FOUND,
            ),
            ErrorAnswer(
                status=500,
                body=b'{"error":"The model has crashed without additional information. (Exit code: 6)"}',
                category=ErrorCategory.SERVER,
            ),
            ErrorAnswer(
                status=401, body=b'{"error":{"message":"An API token is required."}}', category=ErrorCategory.AUTH
            ),
        ),
        models=("/api/v1/models", LM_STUDIO_MODELS, ["openai/gpt-oss-20b", "nomic-embed"]),
    ),
    ConformanceCase(
        name="mlx",
        kind="mlx",
        make_adapter=MLXAdapter,
        protocol=OpenAIChatProtocol(MLX),
        stream=(RECORDINGS / "mlx_chat" / "tiny_thinking.sse").read_bytes(),
        body=(RECORDINGS / "mlx_chat" / "tiny_thinking.json").read_bytes(),
        proof=b'"finish_reason": "stop"',
        end=b"[DONE]",
        expected=MLX_THINKING,
        expected_body=replace(MLX_THINKING, response_id="chatcmpl-5fef3cd1-d61a-41c3-9d7f-b76c2c5a4cb7"),
        word="scripted",
        stream_error=b'data: {"error": "something broke"}\n\n',  # not seen: the server just hangs up
        stream_error_category=ErrorCategory.UNKNOWN,
        errors=MLX_ERRORS,
        models=("/v1/models", b'{"object": "list", "data": [{"id": "tiny-hf", "object": "model"}]}', ["tiny-hf"]),
        pings=(b": keepalive 1/1\n\n", b"\n"),
    ),
    ConformanceCase(
        name="mlx (gpt-oss)",
        kind="mlx",
        make_adapter=MLXAdapter,
        protocol=OpenAIChatProtocol(MLX),
        markup="harmony",
        stream=(RECORDINGS / "mlx_chat" / "gpt_oss_harmony.sse").read_bytes(),
        body=(RECORDINGS / "mlx_chat" / "gpt_oss_harmony.json").read_bytes(),
        proof=b'"finish_reason":"stop"',
        end=b"[DONE]",
        expected=InferenceResult(
            content=(
                ReasoningPart(text="Two cities, two calls.", issuer="mlx"),
                TextPart("Let me look at the weather."),
                ToolCall(id="call_0", name="get_weather", arguments='{"city":"Oslo"}', id_generated=True),
                ToolCall(id="call_1", name="get_weather", arguments='{"city":"Lima"}', id_generated=True),
            ),
            finish_reason=FinishReason.TOOL_CALLS,
            raw_finish_reason="stop",
            usage=Usage(input_tokens=82, output_tokens=51, total_tokens=133, cache_read_tokens=16),
            model="gpt-oss-20b",
            response_id="chatcmpl-mlx3harmony",
        ),
        word="look",
        stream_error=b'data: {"error": "something broke"}\n\n',
        stream_error_category=ErrorCategory.UNKNOWN,
        errors=MLX_ERRORS,
    ),
)
