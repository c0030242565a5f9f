"""`OpenRouterAdapter`: what OpenRouter adds to OpenAI's format, in questions, answers and errors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airframe import (
    BackendError,
    ConfigurationError,
    EndpointSpec,
    ErrorCategory,
    FinishReason,
    HealthState,
    InferenceRequest,
    InferenceResult,
    Message,
    OpenRouterAdapter,
    ProviderPreferences,
)
from airframe.protocols import OPENROUTER, OpenAIChatProtocol
from airframe.protocols.protocol import DecodeOptions
from airframe.testing.hostile.server import HostileServer, ReceivedRequest
from airframe.types import ReasoningOptions, ReasoningPart, StreamEvent, TextPart

Serve = Callable[..., HostileServer]

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openrouter_chat"
CHAT = OpenAIChatProtocol(OPENROUTER)
HI = Message("user", "Hi")
QUESTION = InferenceRequest(messages=[HI], model="x/y")
ANSWER = {"model": "x/y", "choices": [{"index": 0, "message": {"content": "Hello."}, "finish_reason": "stop"}]}


def endpoint(server: HostileServer, path: str = "", **options: Any) -> EndpointSpec:
    options.setdefault("api_key", "sk-or-made-up")
    return EndpointSpec(base_url=server.base_url + path, **options)


def body(*messages: Message, **fields: Any) -> dict[str, Any]:
    """What is sent, where nothing may be lost."""
    wire = CHAT.encode(InferenceRequest(messages=messages or (HI,), **fields), model="x/y", stream=False)
    assert wire.warnings == ()
    return dict(json.loads(wire.body))


def stream(*chunks: Mapping[str, Any]) -> InferenceResult:
    decoder = CHAT.stream_decoder(DecodeOptions())
    out: list[StreamEvent] = []
    for chunk in chunks:
        decoder.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n", out)
    decoder.feed(b"data: [DONE]\n\n", out)
    return decoder.result()


def chunk(
    finish: str | None = None, native: str | None = None, *, usage: object = None, **delta: Any
) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": native}
    return {"id": "gen-1", "model": "x/y", "choices": [choice], "usage": usage}


def details(*pieces: Mapping[str, Any]) -> dict[str, Any]:
    return chunk(reasoning_details=list(pieces))


def classify(status: int, error: Mapping[str, Any]) -> BackendError:
    return CHAT.classify_error(status, {}, json.dumps({"error": error}).encode())


# -- the adapter


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "base", "target"),
    [
        ({}, "", "/api/v1/chat/completions"),
        ({}, "/api/v1", "/api/v1/chat/completions"),
        ({"api_type": "responses"}, "/api/v1", "/api/v1/responses"),
    ],
)
async def test_addresses(options: dict[str, Any], base: str, target: str, json_server: Serve) -> None:
    """A root gets `/api/v1`; both formats are spoken."""
    response: dict[str, Any] = {"id": "r", "status": "completed", "output": []}
    answer = response if options else ANSWER
    with json_server(answer) as server:
        async with OpenRouterAdapter(**options) as adapter:
            await adapter.infer(endpoint(server, base), QUESTION)
    assert [request.target for request in server.requests] == [target]


@pytest.mark.anyio
async def test_who_asks_and_who_may_answer(json_server: Serve) -> None:
    """The program's address and name go in headers, the preferences in the body; a request's own go before them."""
    preferences = ProviderPreferences(order=["anthropic"], allow_fallbacks=False, max_price={"prompt": 1.5})
    own = InferenceRequest(messages=[HI], model="x/y", extra_params={"provider": {"only": ["google"]}})
    with json_server(ANSWER) as server:
        async with OpenRouterAdapter(
            provider=preferences, app_url="https://example.org", app_title="Example"
        ) as adapter:
            await adapter.infer(endpoint(server), QUESTION)
            await adapter.infer(endpoint(server), own)
    first, second = server.requests
    assert first.headers["http-referer"] == "https://example.org"
    assert first.headers["x-openrouter-title"] == "Example"
    assert json.loads(first.body)["provider"] == {
        "order": ["anthropic"],
        "allow_fallbacks": False,
        "max_price": {"prompt": 1.5},
    }
    assert json.loads(second.body)["provider"] == {"only": ["google"]}


@pytest.mark.anyio
async def test_nothing_is_told_without_being_asked(json_server: Serve) -> None:
    """Without options there are no attribution headers and no preferences."""
    with json_server(ANSWER) as server:
        async with OpenRouterAdapter() as adapter:
            await adapter.infer(endpoint(server), QUESTION)
    (request,) = server.requests
    assert not {"http-referer", "x-openrouter-title"} & set(request.headers)
    assert "provider" not in json.loads(request.body)


@pytest.mark.anyio
async def test_health_and_models(json_server: Serve) -> None:
    """The list of models is open to everybody, so health asks about the key; windows of models are read."""
    answers: dict[str, object] = {
        "/api/v1/key": {"data": {"label": "a key"}},
        "/api/v1/models": {"data": [{"id": "x/y", "context_length": 200000}]},
    }

    def answer(request: ReceivedRequest) -> object:
        return answers[request.target]

    with json_server(answer) as server:
        async with OpenRouterAdapter() as adapter:
            (model,) = await adapter.list_models(endpoint(server))
            report = await adapter.check_health(endpoint(server))
            await adapter.check_health(endpoint(server, api_key=None))
    assert (model.id, model.context_window) == ("x/y", 200000)
    assert report.state is HealthState.HEALTHY
    assert [request.target for request in server.requests] == ["/api/v1/models", "/api/v1/key", "/api/v1/models"]


def test_an_unknown_api_type() -> None:
    """A mistaken `api_type` is refused by name."""
    wrong: Any = "messages"
    with pytest.raises(ConfigurationError, match="'chat' or 'responses'"):
        OpenRouterAdapter(api_type=wrong)


# -- questions


@pytest.mark.parametrize(
    ("options", "wire"),
    [
        (ReasoningOptions(effort="high"), {"effort": "high"}),
        (ReasoningOptions(budget_tokens=2000), {"max_tokens": 2000}),
        (ReasoningOptions(enabled=True), {"enabled": True}),
    ],
)
def test_reasoning_is_an_object(options: ReasoningOptions, wire: object) -> None:
    """Effort, budget and switch go into one object."""
    assert body(reasoning=options)["reasoning"] == wire


def test_sampling_and_length() -> None:
    """OpenRouter knows what open models know, and calls the longest answer `max_tokens`."""
    sent = body(max_tokens=64, top_k=40, min_p=0.1, repeat_penalty=1.1, seed=7, prompt_cache_key="k")
    assert {name: sent[name] for name in ("max_tokens", "top_k", "min_p", "repetition_penalty", "seed")} == {
        "max_tokens": 64,
        "top_k": 40,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "seed": 7,
    }


def test_the_end_of_a_prefix_worth_caching() -> None:
    """`Message.cache` becomes `cache_control` on the message's last part."""
    sent = body(
        Message("system", "Rules.", cache="1h"), Message("user", (TextPart("a"), TextPart("b")), cache="default")
    )
    assert sent["messages"][0]["content"] == [
        {"type": "text", "text": "Rules.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]
    assert sent["messages"][1]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
    ]


# -- reasoning in blocks


def test_blocks_go_back_unmodified() -> None:
    """`reasoning_details` of a whole answer go back as they came, also when two blocks share type and index."""
    blocks = [
        {"type": "reasoning.summary", "summary": "One.", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.summary", "summary": "Two.", "id": None, "format": "openai-responses-v1", "index": 0},
    ]
    answer = {"content": "Hello.", "reasoning": "One.Two.", "reasoning_details": blocks}
    document = {"choices": [{"index": 0, "message": answer, "finish_reason": "stop"}]}
    result = CHAT.decode(json.dumps(document).encode(), DecodeOptions())
    assert body(HI, result.message)["messages"][1] == {
        "role": "assistant",
        "content": "Hello.",
        "reasoning_details": blocks,
    }


def test_pieces_of_blocks_are_put_together() -> None:
    """In a stream texts are joined by type and index, the last signature counts, and the order is that of beginning."""
    result = stream(
        details({"type": "reasoning.text", "text": "One,", "format": "anthropic-claude-v1", "index": 0}),
        details({"type": "reasoning.text", "text": " two.", "format": "anthropic-claude-v1", "index": 0}),
        details({"type": "reasoning.text", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}),
        details({"type": "reasoning.encrypted", "data": "ga", "id": None, "format": "x", "index": 0}),
        details({"type": "reasoning.encrypted", "data": "AA", "id": "rs_1", "format": "x", "index": 0}),
        details({"type": "reasoning.text", "text": "More.", "format": "anthropic-claude-v1", "index": 1}),
        chunk("stop", "end_turn", content="Hello."),
    )
    assert isinstance(result.content[0], ReasoningPart)
    assert result.content[0].raw == [
        {
            "type": "reasoning.text",
            "text": "One, two.",
            "signature": "sig",
            "format": "anthropic-claude-v1",
            "index": 0,
        },
        {"type": "reasoning.encrypted", "data": "gaAA", "id": "rs_1", "format": "x", "index": 0},
        {"type": "reasoning.text", "text": "More.", "format": "anthropic-claude-v1", "index": 1},
    ]


def test_a_thought_that_is_only_encrypted() -> None:
    """Blocks without a readable text are kept too, and go back."""
    block = {"type": "reasoning.encrypted", "data": "gAAA", "format": "google-gemini-v1", "index": 0}
    result = stream(chunk(content="Hello."), details(block), chunk("stop", "STOP"))
    assert [type(part) for part in result.content] == [ReasoningPart, TextPart]
    assert body(HI, result.message)["messages"][1]["reasoning_details"] == [block]


def test_blocks_of_others_stay_here() -> None:
    """A signed thought of another service is left out with a warning; plain text goes back as `reasoning`."""
    signed = ReasoningPart(text="Hm.", issuer="anthropic", signature="sig")
    plain = ReasoningPart(text="Hm.", issuer="openrouter")
    request = InferenceRequest(messages=[HI, Message("assistant", (signed, plain, TextPart("Hello.")))])
    wire = CHAT.encode(request, model="x/y", stream=False)
    assert [warning.subject for warning in wire.warnings] == ["ReasoningPart"]
    assert json.loads(wire.body)["messages"][1] == {"role": "assistant", "content": "Hello.", "reasoning": "Hm."}


# -- the end of an answer

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "cost": 0.00042}


@pytest.mark.parametrize(
    "ending",
    [
        [chunk("stop", "end_turn"), {"choices": [], "usage": USAGE}],
        [chunk(usage=USAGE), chunk("stop", "end_turn")],
        [chunk("stop", "end_turn"), chunk("stop", "end_turn", usage=USAGE)],
    ],
    ids=["of its own", "before the end", "with the end again"],
)
def test_usage_in_each_of_its_places(ending: Sequence[Mapping[str, Any]]) -> None:
    """Usage comes in three places, recorded in 2025 and 2026: it is read in each, the cost exactly, the end once."""
    result = stream(chunk(content="Hello."), *ending)
    assert (result.usage.total_tokens, result.reported_cost) == (10, Decimal("0.00042"))
    assert (result.finish_reason, result.raw_finish_reason) == (FinishReason.STOP, "stop")
    assert result.extra["native_finish_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("arguments", "native", "finish_reason"),
    [
        ('{"city": "Os', "max_output_tokens", FinishReason.LENGTH),
        ('{"city": "Os', "length", FinishReason.LENGTH),
        ('{"city": "Os', "MAX_TOKENS", FinishReason.LENGTH),
        ('{"city": "Os', "max_tokens", FinishReason.LENGTH),
        ('{"city": "Os', "tool_use", FinishReason.TOOL_CALLS),
        ('{"city": "Oslo"}', "max_output_tokens", FinishReason.TOOL_CALLS),
    ],
)
def test_arguments_that_were_cut(arguments: str, native: str, finish_reason: FinishReason) -> None:
    """OpenRouter says `tool_calls` of a cut call; arguments that do not parse and a limit together mean `length`."""
    call = {"index": 0, "id": "c", "function": {"name": "get_weather", "arguments": arguments}}
    result = stream(chunk(tool_calls=[call]), chunk("tool_calls", native))
    assert result.finish_reason is finish_reason
    assert result.raw_finish_reason == "tool_calls"
    assert result.tool_calls[0].arguments == arguments


def test_an_error_in_the_middle() -> None:
    """An error after output has the category of its own `error_type`, and what was said is kept."""
    decoder = CHAT.stream_decoder(DecodeOptions())
    out: list[StreamEvent] = []
    failure = {
        "id": "gen-1",
        "error": {"code": 502, "message": "Provider disconnected", "metadata": {"error_type": "timeout"}},
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
    }
    decoder.feed(b"data: " + json.dumps(chunk(content="Hel")).encode() + b"\n\n", out)
    with pytest.raises(BackendError, match="Provider disconnected") as caught:
        decoder.feed(b"data: " + json.dumps(failure).encode() + b"\n\n", out)
    assert caught.value.category is ErrorCategory.TIMEOUT
    assert decoder.result().text == "Hel"
    assert decoder.result().finish_reason is None


def test_an_error_of_the_choice() -> None:
    """`finish_reason: error` in a body with status 200 is raised with the error that stands beside it."""
    choice = {
        "index": 0,
        "message": {"content": "Hel"},
        "finish_reason": "error",
        "error": {"code": 429, "message": "Busy", "metadata": {"error_type": "provider_overloaded"}},
    }
    with pytest.raises(BackendError, match="Busy") as caught:
        CHAT.decode(json.dumps({"choices": [choice]}).encode(), DecodeOptions())
    assert caught.value.category is ErrorCategory.OVERLOADED


# -- errors


@pytest.mark.parametrize(
    ("error_type", "category"),
    [
        ("authentication", ErrorCategory.AUTH),
        ("permission_denied", ErrorCategory.PERMISSION),
        ("payment_required", ErrorCategory.BILLING),
        ("rate_limit_exceeded", ErrorCategory.RATE_LIMIT),
        ("provider_overloaded", ErrorCategory.OVERLOADED),
        ("provider_unavailable", ErrorCategory.OVERLOADED),
        ("timeout", ErrorCategory.TIMEOUT),
        ("context_length_exceeded", ErrorCategory.CONTEXT_LENGTH),
        ("max_tokens_exceeded", ErrorCategory.CONTEXT_LENGTH),
        ("token_limit_exceeded", ErrorCategory.CONTEXT_LENGTH),
        ("string_too_long", ErrorCategory.CONTEXT_LENGTH),
        ("content_policy_violation", ErrorCategory.CONTENT_FILTER),
        ("refusal", ErrorCategory.CONTENT_FILTER),
        ("not_found", ErrorCategory.NOT_FOUND),
        ("image_not_found", ErrorCategory.NOT_FOUND),
        ("server", ErrorCategory.SERVER),
        ("invalid_request", ErrorCategory.INVALID_REQUEST),
        ("invalid_prompt", ErrorCategory.INVALID_REQUEST),
        ("unprocessable", ErrorCategory.INVALID_REQUEST),
        ("unsupported_image_format", ErrorCategory.INVALID_REQUEST),
    ],
)
def test_error_types(error_type: str, category: ErrorCategory) -> None:
    """Each documented `error_type` has its category, here under a status of 400 that says less."""
    error = classify(400, {"code": 400, "message": "No.", "metadata": {"error_type": error_type}})
    assert error.category is category


@pytest.mark.parametrize(
    ("raw", "category"),
    [
        (
            (
                '{"error":{"message":"Unsupported parameter: \'temperature\' is not supported with this model.",'
                '"type":"invalid_request_error","param":"temperature","code":null}}'
            ),
            ErrorCategory.UNSUPPORTED,
        ),
        ('{"error":{"message":"x","code":"context_length_exceeded"}}', ErrorCategory.CONTEXT_LENGTH),
        ('{"code":"x","error":"Content violates usage guidelines."}', ErrorCategory.CONTENT_FILTER),
        ("upstream says no", ErrorCategory.INVALID_REQUEST),
        ("", ErrorCategory.INVALID_REQUEST),
    ],
)
def test_the_provider_behind(raw: str, category: ErrorCategory) -> None:
    """What the provider behind OpenRouter said decides where OpenRouter itself says no more than `invalid_request`."""
    metadata = {"provider_name": "OpenAI", "raw": raw, "error_type": "invalid_request"}
    error = classify(400, {"code": 400, "message": "Provider returned error", "metadata": metadata})
    assert error.category is category
    assert "Provider returned error" in str(error)


@pytest.mark.parametrize(
    ("availability", "retryable", "wait"),
    [
        ({"code": "all_providers_busy", "retryable": True, "retry_after": 12}, True, 12.0),
        ({"code": "excluded_by_preferences", "retryable": False}, False, None),
        ({}, True, None),
        ({"retryable": "yes", "retry_after": "soon"}, True, None),
    ],
)
def test_availability_knows_best(availability: Mapping[str, Any], *, retryable: bool, wait: float | None) -> None:
    """Whether and when to try again, OpenRouter may say itself; otherwise the category decides."""
    error = classify(503, {"code": 503, "message": "No provider.", "availability": availability})
    assert (error.category, error.retryable, error.retry_after) == (ErrorCategory.OVERLOADED, retryable, wait)


def test_the_reset_in_the_body() -> None:
    """The moment at which a limit is new stands in the body, in milliseconds; one that is past is no hint."""
    soon = int((time.time() + 3600) * 1000)
    limited = {"code": 429, "message": "Rate limit exceeded", "metadata": {"headers": {"X-RateLimit-Reset": str(soon)}}}
    wait = classify(429, limited).retry_after
    assert wait is not None
    assert 3500 < wait <= 3600
    limited["metadata"] = {"headers": {"X-RateLimit-Reset": "1700000000000"}}
    assert classify(429, limited).retry_after is None
