"""Responses, from OpenAI, Azure and OpenRouter, and from servers that resemble them."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from airframe.adapters import AzureOpenAIAdapter, OpenAIResponsesAdapter, OpenRouterAdapter
from airframe.errors import ErrorCategory
from airframe.protocols import (
    AZURE_RESPONSES,
    COMPATIBLE_RESPONSES,
    OPENAI_RESPONSES,
    OPENROUTER_RESPONSES,
    OpenAIResponsesProtocol,
)
from airframe.testing.conformance import ConformanceCase, ErrorAnswer
from airframe.types import (
    Annotation,
    FinishReason,
    HostedToolPart,
    InferenceResult,
    ReasoningPart,
    SearchHit,
    TextPart,
    ToolCall,
    Usage,
)

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openai_responses"

MODELS = b'{"object":"list","data":[{"id":"gpt-6-sol","object":"model","owned_by":"openai"},{"id":"gpt-6-luna"}]}'
PINGS = (
    b": ping\n\n",
    b":\n\n",
    b"\n",
    b'event: keepalive\ndata: {"type":"keepalive","sequence_number":2}\n\n',
)


def items(name: str) -> list[dict[str, Any]]:
    """The items of a recorded body, which go back unchanged and so belong to what is expected."""
    return list(json.loads((RECORDINGS / name).read_bytes())["output"])


def tools(issuer: str, *, searched: bool = True) -> InferenceResult:
    """What `openai_tools` says, where the service `issuer` says it."""
    reasoning, search, *_ = items("openai_tools.json")
    thought = ReasoningPart(
        text="**Looking it up**\n\nTwo cities, two calls.",
        issuer=issuer,
        signature="gAAAAB-made-up-8c21",
        id="rs_0a1",
        raw=reasoning,
    )
    hit = search["results"][0]
    found = HostedToolPart(
        kind="file_search_call",
        issuer=issuer,
        id="fs_0a2",
        status="completed",
        hits=(
            SearchHit(
                text="Quote the weather of both cities.",
                file_id="file-77",
                filename="policy.md",
                score=0.93,
                raw=hit,
            ),
        ),
        raw=search,
    )
    said = (
        TextPart("Let me look at the weather. As the policy says.", "commentary", "msg_0a3"),
        ToolCall(id="call_one1", name="get_weather", arguments='{"city":"Oslo"}', item_id="fc_0a4"),
        ToolCall(id="call_two2", name="get_weather", arguments='{"city":"Lima"}', item_id="fc_0a5"),
    )
    return InferenceResult(
        content=(thought, found, *said) if searched else (thought, *said),
        finish_reason=FinishReason.TOOL_CALLS,
        raw_finish_reason="completed",
        usage=Usage(
            input_tokens=82,
            output_tokens=51,
            total_tokens=133,
            cache_read_tokens=16,
            cache_write_tokens=0,
            reasoning_tokens=9,
        ),
        model="gpt-5.4-mini-2026-03-17",
        response_id="resp_0a0",
        service_tier="default",
        annotations=(Annotation(kind="file_citation", title="policy.md"),),
    )


def thinking(reasoning: dict[str, Any], response_id: str, message_id: str) -> InferenceResult:
    """What llama-server says in `llama_server_thinking`; its ids differ from answer to answer."""
    text = "Hello from the tiny scripted model; it holds one short answer, so each run reads alike."
    return InferenceResult(
        content=(
            ReasoningPart(
                text="Let me think about this first",
                issuer="compatible_responses",
                id=reasoning["id"],
                raw=reasoning,
            ),
            TextPart(text, None, message_id),
        ),
        finish_reason=FinishReason.STOP,
        raw_finish_reason="completed",
        usage=Usage(input_tokens=22, output_tokens=27, total_tokens=49, cache_read_tokens=21),
        model="models/tiny.gguf",
        response_id=response_id,
    )


OPENAI_ERRORS = (
    ErrorAnswer(
        status=401,
        body=b'{"error":{"code":"invalid_api_key","message":"Incorrect API key provided.","param":null,'
        b'"type":"invalid_request_error"},"status":401}',
        category=ErrorCategory.AUTH,
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":{"message":"The requested model \'x\' does not exist.","type":"invalid_request_error",'
        b'"param":"model","code":"model_not_found"}}',
        category=ErrorCategory.NOT_FOUND,
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":{"message":"Your input exceeds the context window of this model.",'
        b'"type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}',
        category=ErrorCategory.CONTEXT_LENGTH,
    ),
    ErrorAnswer(
        status=400,
        body=b'{"error":{"code":null,"message":"Item \'rs_1\' of type \'reasoning\' was provided without its required '
        b'following item.","param":"input","type":"invalid_request_error"}}',
        category=ErrorCategory.INVALID_REQUEST,
    ),
    ErrorAnswer(
        status=404,
        body=b'{"error":{"message":"Response with id \'resp_1\' not found.","type":"invalid_request_error",'
        b'"param":null,"code":null}}',
        category=ErrorCategory.NOT_FOUND,
    ),
    ErrorAnswer(
        status=429,
        body=b'{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,'
        b'"code":"insufficient_quota"}}',
        category=ErrorCategory.BILLING,
    ),
)
NESTED_ERROR = (
    b'event: error\ndata: {"type":"error","sequence_number":2,"error":{"type":"insufficient_quota",'
    b'"code":"insufficient_quota","message":"You exceeded your current quota.","param":null}}\n\n'
)
FLAT_ERROR = (
    b'event: error\ndata: {"type":"error","sequence_number":2,"code":"rate_limit_exceeded",'
    b'"message":"Slow down.","param":null}\n\n'
)
FAILED = (
    b'event: response.failed\ndata: {"type":"response.failed","sequence_number":3,"response":{"id":"resp_0a0",'
    b'"object":"response","status":"failed","error":{"code":"server_error","message":"Something broke."},'
    b'"incomplete_details":null,"model":"gpt-5.4-mini-2026-03-17","output":[],"usage":null}}\n\n'
)

OPENAI = ConformanceCase(
    name="openai_responses",
    kind="openai_responses",
    make_adapter=OpenAIResponsesAdapter,
    protocol=OpenAIResponsesProtocol(OPENAI_RESPONSES),
    stream=(RECORDINGS / "openai_tools.sse").read_bytes(),
    body=(RECORDINGS / "openai_tools.json").read_bytes(),
    end=b'"type":"response.completed"',
    expected=tools("openai_responses"),
    word="weather",
    stream_error=NESTED_ERROR,
    stream_error_category=ErrorCategory.BILLING,
    errors=OPENAI_ERRORS,
    models=("/models", MODELS, ["gpt-6-sol", "gpt-6-luna"]),
    pings=PINGS,
    base_path="/v1",
)

CASES = (
    OPENAI,
    replace(
        OPENAI,
        name="openai_responses (flat error)",
        stream_error=FLAT_ERROR,
        stream_error_category=ErrorCategory.RATE_LIMIT,
    ),
    replace(
        OPENAI,
        name="openai_responses (failed response)",
        stream_error=FAILED,
        stream_error_category=ErrorCategory.SERVER,
    ),
    replace(
        OPENAI,
        name="openai_responses (llama-server)",
        make_adapter=partial(OpenAIResponsesAdapter, dialect=COMPATIBLE_RESPONSES),
        protocol=OpenAIResponsesProtocol(COMPATIBLE_RESPONSES),
        stream=(RECORDINGS / "llama_server_thinking.sse").read_bytes(),
        body=(RECORDINGS / "llama_server_thinking.json").read_bytes(),
        expected=thinking(
            {
                "id": "rs_pYAUXoZQ7v7KkH0Jt21TMTaE4VvkuBaU",
                "summary": [],
                "type": "reasoning",
                "content": [{"text": "Let me think about this first", "type": "reasoning_text"}],
                "encrypted_content": "",
            },
            "resp_8JdXrraCgX8XmrfMZvOfxooxWxA10XEU",
            "msg_zFXXQ9B3qgWTq3ji1EmOHcmkD3e0AWbT",
        ),
        expected_body=thinking(
            items("llama_server_thinking.json")[0],
            "resp_gDWAgft6F8WFoemBbDTDpCc9fjPKM8gs",
            "msg_UIVVDQ2doQKtr2FarmeyrzEejmUpXH29",
        ),
        word="scripted",
        stream_error=b'data: {"error":{"code":500,"message":"Context size has been exceeded.",'
        b'"type":"server_error"}}\n\n',
        stream_error_category=ErrorCategory.CONTEXT_LENGTH,
        errors=(
            ErrorAnswer(
                status=400,
                body=b'{"error":{"code":400,"message":"\'input\' is required","type":"invalid_request_error"}}',
                category=ErrorCategory.INVALID_REQUEST,
            ),
            ErrorAnswer(
                status=400,
                body=b'{"error":{"code":400,"message":"request (9019 tokens) exceeds the available context size '
                b'(2048 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9019,'
                b'"n_ctx":2048}}',
                category=ErrorCategory.CONTEXT_LENGTH,
            ),
        ),
    ),
    replace(
        OPENAI,
        name="azure (responses)",
        kind="azure",
        make_adapter=partial(AzureOpenAIAdapter, api_type="responses"),
        protocol=OpenAIResponsesProtocol(AZURE_RESPONSES),
        expected=tools("azure_responses"),
        errors=(
            ErrorAnswer(
                status=404,
                body=b'{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not '
                b'exist."}}',
                category=ErrorCategory.NOT_FOUND,
            ),
        ),
        base_path="",
    ),
    replace(
        OPENAI,
        name="openrouter (responses)",
        kind="openrouter",
        make_adapter=partial(OpenRouterAdapter, api_type="responses"),
        protocol=OpenAIResponsesProtocol(OPENROUTER_RESPONSES),
        stream=(RECORDINGS / "openrouter_tools.sse").read_bytes(),
        body=(RECORDINGS / "openrouter_tools.json").read_bytes(),
        expected=replace(tools("openrouter_responses"), reported_cost=Decimal("0.0000285")),
        stream_error=b'data: {"type":"error","error":{"code":502,"message":"Provider returned error",'
        b'"metadata":{"error_type":"provider_unavailable"}}}\n\n',
        stream_error_category=ErrorCategory.OVERLOADED,
        errors=(
            ErrorAnswer(
                status=402,
                body=b'{"error":{"code":402,"message":"Insufficient credits"}}',
                category=ErrorCategory.BILLING,
            ),
        ),
        models=("/models", b'{"data":[{"id":"openai/gpt-6-sol","context_length":922000}]}', ["openai/gpt-6-sol"]),
        pings=(b": OPENROUTER PROCESSING\n\n", b": \n\n", b"\n"),
        base_path="/api/v1",
    ),
)
