"""What would be sent is what is sent."""

from __future__ import annotations

import json

import pytest

from airframe.adapters import (
    AnthropicAdapter,
    AzureOpenAIAdapter,
    HttpAdapter,
    LlamaServerAdapter,
    OllamaAdapter,
    OpenAIChatAdapter,
    OpenAIResponsesAdapter,
    OpenRouterAdapter,
)
from airframe.endpoints import EndpointSpec
from airframe.errors import BackendError, InvalidRequestError
from airframe.testing import ScriptedAdapter
from airframe.testing.hostile import Connection, HostileServer, head
from airframe.types import InferenceRequest, Message

pytestmark = pytest.mark.anyio

REQUEST = InferenceRequest(messages=[Message("user", "Why?")], model="m", max_tokens=5, temperature=0.5)


def refusing(connection: Connection) -> None:
    connection.send(head(status=400, content_length=2) + b"{}")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "adapter",
    [
        AnthropicAdapter(),
        AzureOpenAIAdapter(api_version="2024-10-21"),
        LlamaServerAdapter(),
        OllamaAdapter(),
        OpenAIChatAdapter(),
        OpenAIResponsesAdapter(),
        OpenRouterAdapter(),
    ],
    ids=lambda adapter: type(adapter).__name__,
)
async def test_a_preview_is_what_is_sent(adapter: HttpAdapter, stream: bool) -> None:
    """URL and body; the key is in neither."""
    with HostileServer(refusing) as server:
        endpoint = EndpointSpec(base_url=server.base_url, api_key="sk-secret")
        preview = adapter.preview(endpoint, REQUEST, stream=stream)
        answer = adapter.stream_infer(endpoint, REQUEST)
        with pytest.raises(BackendError):
            await (anext(answer) if stream else adapter.infer(endpoint, REQUEST))
        await adapter.aclose()
        sent = server.requests[-1]
    assert preview is not None
    assert preview.body == json.loads(sent.body)
    assert preview.url.endswith(sent.target)
    assert preview.max_retries == 2
    assert "sk-secret" not in repr(preview)


def test_the_prompt_of_the_native_api_is_made_by_the_server() -> None:
    """So the first request is the one that asks for it."""
    endpoint = EndpointSpec(base_url="http://127.0.0.1:8080")
    preview = LlamaServerAdapter(api_type="native").preview(endpoint, REQUEST)
    assert preview is not None
    assert preview.url == "http://127.0.0.1:8080/apply-template"


def test_where_nothing_is_sent_there_is_nothing_to_see() -> None:
    """A script sends nothing."""
    assert ScriptedAdapter().preview(EndpointSpec(base_url="http://127.0.0.1:8080"), REQUEST) is None


def test_what_cannot_be_asked_is_refused() -> None:
    """As if it were asked."""
    request = InferenceRequest(messages=[Message("user", "Why?")], model="m", seed=1, strict=True)
    with pytest.raises(InvalidRequestError, match="seed"):
        AnthropicAdapter().preview(EndpointSpec(base_url="http://127.0.0.1:8080"), request)
