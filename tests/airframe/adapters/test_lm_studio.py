"""`LMStudioAdapter`: its two lists of models, and errors that come with 200."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from airframe import (
    BackendError,
    EndpointSpec,
    ErrorCategory,
    HealthState,
    InferenceRequest,
    LMStudioAdapter,
    Message,
    ToolSpec,
)
from airframe.testing.hostile.server import Connection, HostileServer, head
from airframe.types import NamedTool

pytestmark = pytest.mark.anyio

HI = InferenceRequest(messages=[Message("user", "Hi")], model="m")
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
NONE: list[object] = []
NEW_MODELS: Mapping[str, object] = {
    "models": [
        {
            "type": "llm",
            "publisher": "openai",
            "key": "openai/gpt-oss-20b",
            "max_context_length": 131072,
            "loaded_instances": [{"id": "openai/gpt-oss-20b", "config": {"context_length": 8192}}],
        },
        {"type": "llm", "publisher": "qwen", "key": "qwen3", "max_context_length": 40960, "loaded_instances": NONE},
    ]
}
OLD_MODELS: Mapping[str, object] = {
    "data": [
        {
            "id": "gpt-oss-20b",
            "publisher": "openai",
            "state": "loaded",
            "max_context_length": 131072,
            "loaded_context_length": 8192,
        },
        {"id": "qwen3", "publisher": "qwen", "state": "not-loaded", "max_context_length": 40960},
    ]
}


def lm_studio(documents: Mapping[str, object]) -> HostileServer:
    """A server that knows these paths; what it does not know, it answers as LM Studio does: with 200."""

    def script(connection: Connection) -> None:
        request = connection.request
        unknown = {"error": f"Unexpected endpoint or method. ({request.method} {request.target})"}
        body = json.dumps(documents.get(request.target, unknown)).encode()
        connection.send(head(content_length=len(body)) + body)

    return HostileServer(script)


def endpoint(server: HostileServer, path: str = "") -> EndpointSpec:
    return EndpointSpec(base_url=server.base_url + path, backend_kind="lm_studio")


@pytest.mark.parametrize("path", ["", "/v1"])
async def test_address(path: str) -> None:
    """Chat is below `/v1`, whether the endpoint names it or not."""
    with lm_studio({"/v1/chat/completions": ANSWER}) as server:
        async with LMStudioAdapter() as adapter:
            assert (await adapter.infer(endpoint(server, path), HI)).text == "Hi"


@pytest.mark.parametrize(("path", "documents"), [("/api/v1/models", NEW_MODELS), ("/api/v0/models", OLD_MODELS)])
async def test_models(path: str, documents: Mapping[str, object]) -> None:
    """Load state and window come from the REST of today, or from the old one where that is all there is."""
    with lm_studio({path: documents}) as server:
        async with LMStudioAdapter() as adapter:
            models = await adapter.list_models(endpoint(server, "/v1"))
            report = await adapter.check_health(endpoint(server))
    assert [(model.id.removeprefix("openai/"), model.loaded, model.context_window) for model in models] == [
        ("gpt-oss-20b", True, 8192),
        ("qwen3", False, 40960),
    ]
    assert (report.state, report.detail) == (HealthState.HEALTHY, "1 of 2 models loaded")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_with_200_is_an_error(stream: bool) -> None:
    """An unknown path is answered with 200; that is neither an answer nor an empty stream."""
    with lm_studio({}) as server:
        async with LMStudioAdapter(max_retries=0) as adapter:

            async def ask() -> None:
                if stream:
                    async for _ in adapter.stream_infer(endpoint(server), HI):
                        pass
                else:
                    await adapter.infer(endpoint(server), HI)

            with pytest.raises(BackendError, match="Unexpected endpoint") as caught:
                await ask()
            report = await adapter.check_health(endpoint(server))
    assert caught.value.category is ErrorCategory.UNSUPPORTED
    assert report.state is HealthState.UNHEALTHY


async def test_what_is_refused_there_is_said_in_another_way() -> None:
    """A tool that is demanded by name is offered alone and required; JSON is asked for by the schema of any object."""
    request = InferenceRequest(
        messages=HI.messages,
        model="m",
        tools=[ToolSpec(name="hear"), ToolSpec(name="look")],
        tool_choice=NamedTool("look"),
        response_format="json",
    )
    with lm_studio({"/v1/chat/completions": ANSWER}) as server:
        async with LMStudioAdapter() as adapter:
            result = await adapter.infer(endpoint(server), request)
        body = json.loads(server.requests[0].body)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look"]
    assert body["tool_choice"] == "required"
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert result.warnings == ()
