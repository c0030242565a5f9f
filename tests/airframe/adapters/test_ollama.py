"""`OllamaAdapter`: addresses, models and options. What is sent and said is tested with the format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from airframe import (
    BackendError,
    CapacityHints,
    ConfigurationError,
    EndpointSpec,
    ErrorCategory,
    HealthState,
    InferenceRequest,
    Message,
    OllamaAdapter,
    RetryPolicy,
)
from airframe.testing.hostile.server import Connection, HostileServer, head

pytestmark = pytest.mark.anyio

HI = InferenceRequest(messages=[Message("user", "Hi")], model="tiny")
ANSWER = {"model": "tiny", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}


def ollama(documents: Mapping[str, object]) -> HostileServer:
    """A server that knows these paths; what it does not know, it answers as Ollama does."""

    def script(connection: Connection) -> None:
        found = documents.get(connection.request.target)
        body = b"404 page not found" if found is None else json.dumps(found).encode()
        status, media = (404, "text/plain") if found is None else (200, "application/json; charset=utf-8")
        connection.send(head(status, content_length=len(body), content_type=media) + body)

    return HostileServer(script)


def endpoint(server: HostileServer, path: str = "", **options: Any) -> EndpointSpec:
    return EndpointSpec(base_url=server.base_url + path, backend_kind="ollama", **options)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/api"])
async def test_address(path: str) -> None:
    """The root is found behind any of the addresses that people give for Ollama."""
    with ollama({"/api/chat": ANSWER}) as server:
        async with OllamaAdapter() as adapter:
            result = await adapter.infer(endpoint(server, path), HI)
    assert result.text == "Hi"


@pytest.mark.parametrize(("own", "capacity", "sent"), [(None, None, None), (None, 4096, 4096), (8192, 4096, 8192)])
async def test_context(own: int | None, capacity: int | None, sent: int | None) -> None:
    """`num_ctx` is the adapter's, else the endpoint's window, else Ollama's own."""
    with ollama({"/api/chat": ANSWER}) as server:
        async with OllamaAdapter(num_ctx=own, keep_alive=60) as adapter:
            await adapter.infer(endpoint(server, capacity=CapacityHints(context_window=capacity)), HI)
        body = json.loads(server.requests[0].body)
    assert body.get("options", {}).get("num_ctx") == sent
    assert body["keep_alive"] == 60


async def test_models_and_which_are_loaded() -> None:
    """The installed models are listed; those that run have their real context."""
    tags = {"models": [{"name": "tiny:latest", "model": "tiny:latest"}, {"name": "big:70b"}]}
    running = {"models": [{"name": "big:70b", "model": "big:70b", "context_length": 4096}]}
    with ollama({"/api/tags": tags, "/api/ps": running}) as server:
        async with OllamaAdapter() as adapter:
            models = await adapter.list_models(endpoint(server))
    assert [(model.id, model.loaded, model.context_window) for model in models] == [
        ("tiny:latest", False, None),
        ("big:70b", True, 4096),
    ]


async def test_old_server_does_not_say_what_is_loaded() -> None:
    """A server without `/api/ps` still lists its models; whether they are loaded is unknown."""
    with ollama({"/api/tags": {"models": [{"name": "tiny:latest"}]}}) as server:
        async with OllamaAdapter() as adapter:
            (model,) = await adapter.list_models(endpoint(server))
    assert model.loaded is None


async def test_show() -> None:
    """What a model can do, and the window it was made for, whatever its architecture is called."""
    shown = {
        "capabilities": ["completion", "tools", "thinking"],
        "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
        "template": "{{ .Prompt }}",
        "parameters": "num_ctx 2048",
    }
    with ollama({"/api/show": shown}) as server:
        async with OllamaAdapter() as adapter:
            model = await adapter.show(endpoint(server), "qwen3:4b")
        assert json.loads(server.requests[0].body) == {"model": "qwen3:4b"}
    assert model.capabilities == {"completion", "tools", "thinking"}
    assert (model.context_window, model.template, model.parameters) == (40960, "{{ .Prompt }}", "num_ctx 2048")


async def test_health() -> None:
    """Its version proves that it is Ollama; another server at that address is not taken for it."""
    with ollama({"/api/version": {"version": "0.9.3"}}) as server:
        async with OllamaAdapter() as adapter:
            report = await adapter.check_health(endpoint(server))
    assert (report.state, report.detail) == (HealthState.HEALTHY, "Ollama 0.9.3")
    with ollama({"/api/version": {"status": "ok"}}) as server:
        async with OllamaAdapter() as adapter:
            report = await adapter.check_health(endpoint(server))
    assert report.state is HealthState.UNHEALTHY


async def test_missing_endpoint_is_not_a_missing_model() -> None:
    """A plain-text 404 says that the server lacks the path, a JSON one that it lacks the model; neither is repeated."""
    with ollama({}) as server:
        async with OllamaAdapter(retry=RetryPolicy(max_retries=3, backoff=0.0)) as adapter:
            with pytest.raises(BackendError) as caught:
                await adapter.infer(endpoint(server), HI)
    assert caught.value.category is ErrorCategory.UNSUPPORTED
    assert len(caught.value.attempts) == 1


def test_context_must_be_positive() -> None:
    """A context without tokens is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="num_ctx"):
        OllamaAdapter(num_ctx=0)
