"""Messages, from Anthropic and from llama-server."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from airframe.adapters import AnthropicAdapter
from airframe.errors import ErrorCategory
from airframe.protocols import AnthropicMessagesProtocol
from airframe.testing.conformance import ConformanceCase, ErrorAnswer
from airframe.types import (
    Annotation,
    FinishReason,
    HostedToolPart,
    InferenceResult,
    JSONObject,
    ReasoningPart,
    SearchHit,
    TextPart,
    ToolCall,
    Usage,
)

RECORDINGS = Path(__file__).parents[1] / "recordings" / "anthropic_messages"

MODELS = (
    b'{"data":[{"id":"claude-opus-5-5","type":"model","max_input_tokens":1000000},{"id":"claude-haiku-5-5"}],'
    b'"has_more":false,"first_id":"claude-opus-5-5","last_id":"claude-haiku-5-5"}'
)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'

HIT: JSONObject = {
    "type": "web_search_result",
    "title": "Weather in Oslo",
    "url": "https://weather.example/oslo",
    "encrypted_content": "Eo8Bmade==",
    "page_age": "2 hours ago",
}
CITATION: JSONObject = {
    "type": "web_search_result_location",
    "cited_text": "Light rain in Oslo.",
    "url": "https://weather.example/oslo",
    "title": "Weather in Oslo",
    "encrypted_index": "Eo8Cmade==",
}

CLAUDE_TOOLS = InferenceResult(
    content=(
        ReasoningPart(
            text="First search, then ask the tools.", issuer="anthropic", signature="EqQBCkYIBhgCKkDmade+by/hand=="
        ),
        ReasoningPart(issuer="anthropic", signature="EmwKAhgBmade==", redacted=True),
        HostedToolPart(
            kind="server_tool_use",
            issuer="anthropic",
            id="srvtoolu_01made",
            raw={
                "type": "server_tool_use",
                "id": "srvtoolu_01made",
                "name": "web_search",
                "input": {"query": "weather Oslo"},
                "caller": {"type": "direct"},
            },
        ),
        HostedToolPart(
            kind="web_search_tool_result",
            issuer="anthropic",
            id="srvtoolu_01made",
            hits=(SearchHit(title="Weather in Oslo", url="https://weather.example/oslo", raw=HIT),),
            raw={
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_01made",
                "content": [HIT],
                "caller": {"type": "direct"},
            },
        ),
        TextPart("A page says: "),
        TextPart("light rain, typical weather", citations=(CITATION,)),
        ToolCall(id="toolu_01made", name="get_weather", arguments='{"city":"Oslo"}'),
        ToolCall(id="toolu_02made", name="get_time", arguments="{}"),
    ),
    finish_reason=FinishReason.TOOL_CALLS,
    raw_finish_reason="tool_use",
    usage=Usage(
        input_tokens=412 + 1024 + 2048,
        output_tokens=161,
        cache_read_tokens=2048,
        cache_write_tokens=1024,
        cache_write_1h_tokens=0,
        reasoning_tokens=40,
        web_searches=1,
    ),
    service_tier="standard",
    model="claude-sonnet-5",
    response_id="msg_01made",
    annotations=(
        Annotation(
            kind="web_search_result_location",
            url="https://weather.example/oslo",
            title="Weather in Oslo",
            start=13,
            end=40,
        ),
    ),
)

LLAMA_THINKING = InferenceResult(
    content=(
        ReasoningPart(text="Let me think about this first", issuer="anthropic", signature=""),
        TextPart("Hello from the tiny scripted model; it holds one short answer, so each run reads alike."),
    ),
    finish_reason=FinishReason.STOP,
    raw_finish_reason="end_turn",
    usage=Usage(input_tokens=22, output_tokens=27, cache_read_tokens=21),
    model="models/tiny.gguf",
    response_id="chatcmpl-DEhyeIJYj1AHMpk8PBtEn7gev68vf6Wo",
)

CLAUDE_ERRORS = (
    ErrorAnswer(
        status=401,
        body=b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},'
        b'"request_id":null}',
        category=ErrorCategory.AUTH,
        headers={"x-should-retry": "false"},
    ),
    ErrorAnswer(
        status=400,
        body=b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 205668 tokens > '
        b'200000 maximum"}}',
        category=ErrorCategory.CONTEXT_LENGTH,
    ),
    ErrorAnswer(
        status=429,
        body=b'{"type":"error","error":{"type":"rate_limit_error","message":"Too many input tokens."}}',
        category=ErrorCategory.RATE_LIMIT,
        headers={"retry-after": "2"},
    ),
    ErrorAnswer(
        status=429,
        body=b'{"type":"error","error":{"type":"rate_limit_error","message":"Limit reached.",'
        b'"details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_01made"}',
        category=ErrorCategory.BILLING,
    ),
    ErrorAnswer(
        status=529,
        body=b'{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}',
        category=ErrorCategory.OVERLOADED,
    ),
    ErrorAnswer(status=413, body=b"<html><h1>413</h1></html>", category=ErrorCategory.INVALID_REQUEST),
)

LLAMA_ERRORS = (
    ErrorAnswer(
        status=503,
        body=b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}',
        category=ErrorCategory.LOADING,
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":{"code":400,"message":"request (9020 tokens) exceeds the available context size (2048 tokens), '
        b'try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9020,"n_ctx":2048}}',
        category=ErrorCategory.CONTEXT_LENGTH,
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
        name="anthropic",
        kind="anthropic",
        make_adapter=AnthropicAdapter,
        protocol=AnthropicMessagesProtocol(),
        stream=(RECORDINGS / "claude_tools.sse").read_bytes(),
        body=(RECORDINGS / "claude_tools.json").read_bytes(),
        end=b"message_stop",
        expected=CLAUDE_TOOLS,
        word="typical",
        stream_error=b'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error",'
        b'"message":"Overloaded"},"request_id":"req_01made"}\n\n',
        stream_error_category=ErrorCategory.OVERLOADED,
        errors=CLAUDE_ERRORS,
        models=("/v1/models", MODELS, ["claude-opus-5-5", "claude-haiku-5-5"]),
        pings=(PING, b": ping\n\n", b"\n"),
    ),
    ConformanceCase(
        name="anthropic (llama-server)",
        kind="anthropic",
        make_adapter=partial(AnthropicAdapter, version="2023-06-01"),
        protocol=AnthropicMessagesProtocol(version="2023-06-01"),
        stream=(RECORDINGS / "llama_server_thinking.sse").read_bytes(),
        body=(RECORDINGS / "llama_server_thinking.json").read_bytes(),
        end=b"message_stop",
        expected=LLAMA_THINKING,
        expected_body=replace(
            LLAMA_THINKING,
            usage=Usage(input_tokens=22, output_tokens=27, cache_read_tokens=0),
            response_id="chatcmpl-nETcn925lWYLqk0Y5zWVMttwbjVA27T0",
        ),
        word="scripted",
        # Neither a type of error nor `error` around it: llama.cpp's own shape under Anthropic's name.
        stream_error=b'event: error\ndata: {"code":500,"message":"Context size has been exceeded.",'
        b'"type":"server_error"}\n\n',
        stream_error_category=ErrorCategory.CONTEXT_LENGTH,
        errors=LLAMA_ERRORS,
        models=("/v1/models", b'{"data":[{"id":"tiny","meta":{"n_ctx":2048}}]}', ["tiny"]),
        pings=(PING, b": ping\n\n", b"\n"),
        base_path="/v1",
    ),
)
