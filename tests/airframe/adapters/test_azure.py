"""`AzureOpenAIAdapter`: addresses, ways to sign in, and what Azure adds to OpenAI's answers."""

from __future__ import annotations

import json
import pickle
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from airframe import (
    AzureOpenAIAdapter,
    BackendError,
    CallTimeoutError,
    ConfigurationError,
    EndpointSpec,
    ErrorCategory,
    HealthState,
    InferenceRequest,
    Message,
    RetryPolicy,
)
from airframe.protocols import AZURE, OpenAIChatProtocol
from airframe.protocols.protocol import DecodeOptions
from airframe.testing.hostile.server import HostileServer, ReceivedRequest
from airframe.types import StreamEvent

pytestmark = pytest.mark.anyio

Serve = Callable[..., HostileServer]

RECORDINGS = Path(__file__).parents[1] / "recordings" / "azure_chat"
HI = InferenceRequest(messages=[Message("user", "Hi")], model="my deployment/1")
CHAT = {"model": "m", "choices": [{"index": 0, "message": {"content": "Hello."}, "finish_reason": "stop"}]}
RESPONSE: dict[str, Any] = {"id": "resp_1", "status": "completed", "output": []}
FAST = RetryPolicy(backoff=0.0)


def endpoint(server: HostileServer, path: str = "", **options: Any) -> EndpointSpec:
    options.setdefault("api_key", "made-up-key")
    return EndpointSpec(base_url=server.base_url + path, **options)


# -- addresses


@pytest.mark.parametrize(
    ("options", "base", "target"),
    [
        ({}, "", "/openai/v1/chat/completions"),
        ({}, "/openai/v1", "/openai/v1/chat/completions"),
        ({"api_type": "responses"}, "", "/openai/v1/responses"),
        (
            {"api_version": "2024-10-21"},
            "",
            "/openai/deployments/my%20deployment%2F1/chat/completions?api-version=2024-10-21",
        ),
        (
            {"api_version": "2025-04-01-preview", "api_type": "responses"},
            "",
            "/openai/responses?api-version=2025-04-01-preview",
        ),
        (
            {"api_version": "2024-05-01-preview"},
            "/models",
            "/models/chat/completions?api-version=2024-05-01-preview",
        ),
    ],
)
async def test_addresses(options: dict[str, Any], base: str, target: str, json_server: Serve) -> None:
    """Without a version the paths of v1, with one those of the deployment; the body names the deployment too."""
    with json_server(RESPONSE if "api_type" in options else CHAT) as server:
        async with AzureOpenAIAdapter(**options) as adapter:
            await adapter.infer(endpoint(server, base), HI)
    assert [request.target for request in server.requests] == [target]
    assert json.loads(server.requests[0].body)["model"] == "my deployment/1"


async def test_the_endpoint_may_name_the_deployment(json_server: Serve) -> None:
    """The endpoint's model is the deployment of requests that name none; without any the error says what to do."""
    request = InferenceRequest(messages=HI.messages)
    with json_server(CHAT) as server:
        async with AzureOpenAIAdapter(api_version="2024-10-21") as adapter:
            await adapter.infer(endpoint(server, model="gpt-4o"), request)
            with pytest.raises(ConfigurationError, match=r"EndpointSpec\.model"):
                await adapter.infer(endpoint(server), request)
    assert [item.target for item in server.requests] == [
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    ]


async def test_models(json_server: Serve) -> None:
    """The list of models and the health are asked at the paths of the version."""
    with json_server({"data": [{"id": "gpt-4o"}]}) as server:
        async with AzureOpenAIAdapter(api_version="2024-10-21") as adapter:
            assert [model.id for model in await adapter.list_models(endpoint(server))] == ["gpt-4o"]
            assert (await adapter.check_health(endpoint(server))).state is HealthState.HEALTHY
    assert {item.target for item in server.requests} == {"/openai/models?api-version=2024-10-21"}


def test_an_unknown_api_type() -> None:
    """A mistaken `api_type` is refused by name."""
    wrong: Any = "completions"
    with pytest.raises(ConfigurationError, match="'chat' or 'responses'"):
        AzureOpenAIAdapter(api_type=wrong)


# -- signing in


async def test_the_key_has_a_header_of_its_own(json_server: Serve) -> None:
    """A key is shown as `api-key`, and not as a bearer token."""
    with json_server(CHAT) as server:
        async with AzureOpenAIAdapter() as adapter:
            await adapter.infer(endpoint(server), HI)
    headers = server.requests[0].headers
    assert headers["api-key"] == "made-up-key"
    assert "authorization" not in headers


def synchronous(tokens: Iterator[str]) -> Callable[[], str]:
    return lambda: next(tokens)


def asynchronous(tokens: Iterator[str]) -> Callable[[], Awaitable[str]]:
    async def provide() -> str:
        await anyio.lowlevel.checkpoint()
        return next(tokens)

    return provide


@pytest.mark.parametrize("provider", [synchronous, asynchronous])
async def test_each_attempt_has_a_fresh_token(provider: Callable[[Iterator[str]], Any], json_server: Serve) -> None:
    """The callable is asked once for each attempt, and its token stands in no header but the one for it."""
    answers = iter([b"{", json.dumps(CHAT).encode()])

    def answer(request: ReceivedRequest) -> bytes:
        return next(answers)

    with json_server(answer) as server:
        async with AzureOpenAIAdapter(token_provider=provider(iter(["token-1", "token-2"])), retry=FAST) as adapter:
            await adapter.infer(endpoint(server), HI)
    assert [item.headers["authorization"] for item in server.requests] == ["Bearer token-1", "Bearer token-2"]
    assert not any("api-key" in item.headers for item in server.requests)


async def test_a_token_leaks_nowhere(json_server: Serve) -> None:
    """A token that the service echoes is not in the error, and the endpoint of the caller never holds it."""

    def echo(request: ReceivedRequest) -> object:
        return {"error": {"code": "401", "message": f"Bad token {request.headers['authorization'].split()[1]}"}}

    with json_server(echo, 401) as server:
        spec = endpoint(server, api_key=None)
        async with AzureOpenAIAdapter(token_provider=lambda: "opaque-token-77") as adapter:
            with pytest.raises(BackendError) as caught:
                await adapter.infer(spec, HI)
            report = await adapter.check_health(spec)
    assert caught.value.category is ErrorCategory.AUTH
    for text in (str(caught.value), repr(caught.value.body), repr(caught.value.attempts), repr(report), repr(spec)):
        assert "opaque-token-77" not in text
    assert b"opaque-token-77" not in pickle.dumps(caught.value)
    assert spec.api_key is None


@pytest.mark.parametrize("token", ["", "two\nlines"])
async def test_a_token_that_is_none(token: str, json_server: Serve) -> None:
    """A token that no header can carry is refused before anything is sent, without being quoted."""
    with json_server(CHAT) as server:
        async with AzureOpenAIAdapter(token_provider=lambda: token) as adapter:
            with pytest.raises(ConfigurationError, match="token_provider") as caught:
                await adapter.infer(endpoint(server), HI)
    assert server.requests == []
    assert caught.value.category is ErrorCategory.AUTH
    assert "two" not in str(caught.value)


async def test_a_token_provider_that_fails(json_server: Serve) -> None:
    """A failing sign-in is an error of category `auth`, whose cause is what the callable raised; nothing is sent."""

    def refuse() -> str:
        raise LookupError("no account")

    with json_server(CHAT) as server:
        async with AzureOpenAIAdapter(token_provider=refuse) as adapter:
            with pytest.raises(ConfigurationError, match="LookupError") as caught:
                await adapter.infer(endpoint(server), HI)
    assert caught.value.category is ErrorCategory.AUTH
    assert isinstance(caught.value.__cause__, LookupError)
    assert server.requests == []


async def test_a_token_that_does_not_come(json_server: Serve) -> None:
    """Waiting for a token is part of the attempt, whose timeouts hold for it."""

    async def never() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    with json_server(CHAT) as server:
        async with AzureOpenAIAdapter(token_provider=never, timeout=0.05, max_retries=0) as adapter:
            with pytest.raises(CallTimeoutError) as caught:
                await adapter.infer(endpoint(server), HI)
    assert caught.value.timeout == "attempt"
    assert server.requests == []


# -- what Azure adds


def test_the_first_chunk_is_about_the_prompt() -> None:
    """Its empty id and model are not taken, and what the filters found is kept, of prompt and answer."""
    decoder = OpenAIChatProtocol(AZURE).stream_decoder(DecodeOptions())
    out: list[StreamEvent] = []
    prompt, rest = (RECORDINGS / "gpt_tools.sse").read_bytes().split(b"\n\n", 1)
    decoder.feed(prompt + b"\n\n", out)
    assert (decoder.result().response_id, decoder.result().model, out) == (None, None, [])
    decoder.feed(rest, out)
    result = decoder.result()
    assert (result.response_id, result.model) == ("chatcmpl-Az3tools", "gpt-5.4-mini-2026-03-17")
    extra = json.loads(json.dumps(result.extra))
    assert extra["prompt_filter_results"][0]["content_filter_results"]["jailbreak"] == {
        "filtered": False,
        "detected": False,
    }
    assert extra["content_filter_results"]["violence"] == {"filtered": False, "severity": "safe"}


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (401, "401", ErrorCategory.AUTH),
        (401, "Unauthorized", ErrorCategory.AUTH),
        (401, "PermissionDenied", ErrorCategory.PERMISSION),
        (404, "404", ErrorCategory.NOT_FOUND),
        (404, "DeploymentNotFound", ErrorCategory.NOT_FOUND),
        (404, "ResourceNotFound", ErrorCategory.NOT_FOUND),
        (400, "OperationNotSupported", ErrorCategory.UNSUPPORTED),
        (400, "content_filter", ErrorCategory.CONTENT_FILTER),
        (400, "context_length_exceeded", ErrorCategory.CONTEXT_LENGTH),
        (429, "429", ErrorCategory.RATE_LIMIT),
        (429, "RateLimitReached", ErrorCategory.RATE_LIMIT),
        (429, "TooManyRequests", ErrorCategory.RATE_LIMIT),
        (429, "NoCapacity", ErrorCategory.OVERLOADED),
        (503, "ServiceUnavailable", ErrorCategory.SERVER),
        (500, "InternalServerError", ErrorCategory.SERVER),
        (418, "SomethingNew", ErrorCategory.UNKNOWN),
    ],
)
def test_azures_codes(status: int, code: str, category: ErrorCategory) -> None:
    """Each of Azure's codes has its category."""
    body = json.dumps({"error": {"code": code, "message": "No."}}).encode()
    error = OpenAIChatProtocol(AZURE).classify_error(status, {}, body)
    assert (error.category, error.code) == (category, code)


def test_the_inner_error_says_more() -> None:
    """A policy violation is known by the inner error, whatever stands around it."""
    body = b'{"error":{"code":null,"message":"No.","innererror":{"code":"ResponsibleAIPolicyViolation"}}}'
    assert OpenAIChatProtocol(AZURE).classify_error(400, {}, body).category is ErrorCategory.CONTENT_FILTER


@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        ({"retry-after": "1", "retry-after-ms": "0"}, "Rate limit is exceeded.", 1.0),
        ({}, "Please retry after 6 seconds.", 6.0),
        ({"retry-after": "2"}, "Please retry after 6 seconds.", 2.0),
        ({}, "Please retry after 86400 seconds.", 86400.0),
        ({}, "Rate limit is exceeded.", None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], message: str, wait: float | None) -> None:
    """The wait comes from the headers, or else from the words."""
    body = json.dumps({"error": {"code": "429", "message": message}}).encode()
    assert OpenAIChatProtocol(AZURE).classify_error(429, headers, body).retry_after == wait
