"""`AnthropicAdapter`: addresses, headers, counting and the list of models. What it says is tested with the format."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airframe import (
    AnthropicAdapter,
    BackendError,
    ConfigurationError,
    EndpointSpec,
    ErrorCategory,
    HealthState,
    InferenceRequest,
    MalformedAnswerError,
    Message,
)
from airframe.testing.hostile.server import Connection, HostileServer, ReceivedRequest, head

pytestmark = pytest.mark.anyio

HI = InferenceRequest(messages=[Message("user", "Hi")], model="claude-opus-5-5")
ANSWER = {"type": "message", "model": "m", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}


def answering(answer: Callable[[ReceivedRequest], object], status: int = 200) -> HostileServer:
    """A server that answers each request with JSON."""

    def script(connection: Connection) -> None:
        body = json.dumps(answer(connection.request)).encode()
        connection.send(head(status, content_length=len(body)) + body)

    return HostileServer(script)


def endpoint(server: HostileServer, path: str = "", **options: Any) -> EndpointSpec:
    return EndpointSpec(base_url=server.base_url + path, api_key="sk-made-up", **options)


@pytest.mark.parametrize(("base", "path"), [("", "/v1"), ("/v1", "/v1"), ("/anthropic", "/anthropic/v1")])
async def test_addresses(base: str, path: str) -> None:
    """The root, a root with `/v1`, and Azure's path all lead to the one address of Messages."""
    with answering(lambda _: ANSWER) as server:
        async with AnthropicAdapter() as adapter:
            await adapter.infer(endpoint(server, base), HI)
    assert [request.target for request in server.requests] == [f"{path}/messages"]


async def test_headers() -> None:
    """The key goes in `x-api-key`, beside the newest version; without beta features there is no such header."""
    with answering(lambda _: ANSWER) as server:
        async with AnthropicAdapter() as adapter:
            await adapter.infer(endpoint(server), HI)
    headers = server.requests[0].headers
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("sk-made-up", "2026-10-21")
    assert "authorization" not in headers
    assert "anthropic-beta" not in headers


async def test_other_headers() -> None:
    """Version, token and beta features are options, and an endpoint's own header wins."""
    with answering(lambda _: ANSWER) as server:
        async with AnthropicAdapter(version="2023-06-01", auth="bearer", beta=["a-1", "b-2"]) as adapter:
            await adapter.infer(endpoint(server), HI)
            await adapter.infer(endpoint(server, headers={"anthropic-beta": "c-3"}), HI)
    first, second = (request.headers for request in server.requests)
    assert (first["authorization"], first["anthropic-version"]) == ("Bearer sk-made-up", "2023-06-01")
    assert "x-api-key" not in first
    assert (first["anthropic-beta"], second["anthropic-beta"]) == ("a-1,b-2", "c-3")


async def test_count_tokens() -> None:
    """The count is the backend's own, for the same question at the address for counting."""
    with answering(lambda _: {"input_tokens": 2095}) as server:
        async with AnthropicAdapter() as adapter:
            assert await adapter.count_tokens(endpoint(server), HI) == 2095
    (request,) = server.requests
    assert request.target == "/v1/messages/count_tokens"
    assert json.loads(request.body) == {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "Hi"}]}


async def test_no_count() -> None:
    """An answer without a count is refused, not taken for zero."""
    with answering(lambda _: {"input_tokens": None}) as server:
        async with AnthropicAdapter(max_retries=0) as adapter:
            with pytest.raises(MalformedAnswerError, match="input_tokens"):
                await adapter.count_tokens(endpoint(server), HI)


async def test_the_list_of_models_is_read_to_its_end() -> None:
    """Page follows page until there are no more; the context window is the largest input."""
    pages = {
        None: {"data": [{"id": "a", "max_input_tokens": 1_000_000}], "has_more": True, "last_id": "a"},
        "a": {"data": [{"id": "b"}], "has_more": False, "last_id": "b"},
    }

    def page(request: ReceivedRequest) -> object:
        return pages[parse_qs(urlsplit(request.target).query).get("after_id", [None])[0]]

    with answering(page) as server:
        async with AnthropicAdapter() as adapter:
            models = await adapter.list_models(endpoint(server))
    assert [(model.id, model.context_window) for model in models] == [("a", 1_000_000), ("b", None)]


@pytest.mark.parametrize("last_id", [None, "a"])
async def test_a_list_of_models_that_never_ends(last_id: str | None) -> None:
    """A server that promises more and does not say where is an error, not an endless loop."""
    with answering(lambda _: {"data": [{"id": "a"}], "has_more": True, "last_id": last_id}) as server:
        async with AnthropicAdapter(max_retries=0) as adapter:
            with pytest.raises(MalformedAnswerError, match="list of models"):
                await adapter.list_models(endpoint(server))


async def test_health() -> None:
    """A server that lists its models is well; one that refuses the key is not, and says why."""
    refusal = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
    with answering(lambda _: {"data": [{"id": "a"}]}) as well, answering(lambda _: refusal, 401) as closed:
        async with AnthropicAdapter() as adapter:
            assert (await adapter.check_health(endpoint(well))).state is HealthState.HEALTHY
            report = await adapter.check_health(endpoint(closed))
    assert report.state is HealthState.UNHEALTHY
    assert "invalid x-api-key" in (report.detail or "")


async def test_a_spend_limit_is_not_retried() -> None:
    """A 429 that says the money is spent is asked once, however many retries are allowed."""
    refusal = {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "x",
            "details": {"error_code": "enforced_spend_limit_reached"},
        },
    }
    with answering(lambda _: refusal, 429) as server:
        async with AnthropicAdapter(max_retries=3) as adapter:
            with pytest.raises(BackendError) as caught:
                await adapter.infer(endpoint(server), HI)
    assert caught.value.category is ErrorCategory.BILLING
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"version": "2024-01-01"}, "version"),
        ({"auth": "basic"}, "auth"),
        ({"beta": "a-1"}, "beta"),
        ({"default_max_tokens": 0}, "default_max_tokens"),
    ],
)
def test_wrong_options(options: dict[str, Any], field: str) -> None:
    """An option that cannot work is refused at once, by its name."""
    with pytest.raises(ConfigurationError, match=field):
        AnthropicAdapter(**options)
