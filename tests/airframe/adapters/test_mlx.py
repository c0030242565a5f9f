"""`MLXAdapter`: answers over HTTP/1.0, gpt-oss's channels, and what the server ignores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airframe import (
    AirframeError,
    EndpointSpec,
    FinishReason,
    HealthState,
    InferenceRequest,
    JSONSchemaFormat,
    Message,
    MLXAdapter,
    StreamEventType,
    ToolSpec,
    TruncatedAnswerError,
)
from airframe.testing.hostile.server import Connection, HostileServer
from airframe.types import ReasoningOptions

pytestmark = pytest.mark.anyio

RECORDINGS = Path(__file__).parents[1] / "recordings" / "mlx_chat"
HI = InferenceRequest(messages=[Message("user", "Hi")])


def mlx(body: bytes, status: str = "200 OK") -> HostileServer:
    """Answers as Python's `http.server` does: HTTP/1.0, no length, and the end of the connection is the end."""
    head = f"HTTP/1.0 {status}\r\nServer: BaseHTTP/0.6\r\nContent-type: text/event-stream\r\n\r\n".encode()

    def script(connection: Connection) -> None:
        connection.send(head + body)
        connection.close()

    return HostileServer(script)


def endpoint(server: HostileServer, path: str = "") -> EndpointSpec:
    return EndpointSpec(base_url=server.base_url + path, backend_kind="mlx")


async def test_stream_over_http_1_0() -> None:
    """A stream without length, after a comment, is whole, with the reasoning apart."""
    with mlx((RECORDINGS / "tiny_thinking.sse").read_bytes()) as server:
        async with MLXAdapter() as adapter, adapter.stream_infer(endpoint(server), HI) as stream:
            kinds = {event.type async for event in stream}
    assert StreamEventType.REASONING in kinds
    assert stream.result.reasoning == "Let me think about this first"
    assert stream.result.text.startswith("Hello from the tiny scripted model")
    assert stream.result.usage.output_tokens == 27


async def test_a_cut_stream_is_no_answer() -> None:
    """Over HTTP/1.0 a cut looks like an end, so only the finish reason proves one."""
    whole = (RECORDINGS / "tiny_thinking.sse").read_bytes()
    with mlx(whole[: whole.index(b'"finish_reason": "stop"') - 200]) as server:
        async with MLXAdapter(max_retries=0) as adapter:

            async def listen() -> None:
                async for _ in adapter.stream_infer(endpoint(server), HI):
                    pass

            with pytest.raises(TruncatedAnswerError) as caught:
                await listen()
    assert caught.value.partial is not None
    assert caught.value.partial.text.startswith("Hello from")


async def test_gpt_oss_channels_are_split_by_default() -> None:
    """The channels of gpt-oss become reasoning, text and tool calls without being asked for."""
    with mlx((RECORDINGS / "gpt_oss_harmony.sse").read_bytes()) as server:
        async with MLXAdapter() as adapter, adapter.stream_infer(endpoint(server, "/v1"), HI) as stream:
            text = "".join([event.text async for event in stream if event.type is StreamEventType.TOKEN])
    assert text == stream.result.text == "Let me look at the weather."
    assert stream.result.reasoning == "Two cities, two calls."
    assert [call.parsed_arguments for call in stream.result.tool_calls] == [{"city": "Oslo"}, {"city": "Lima"}]
    assert stream.result.finish_reason is FinishReason.TOOL_CALLS


async def test_what_the_server_ignores_is_warned_of() -> None:
    """A schema and a tool choice would be ignored there: they are not sent, and the result says so."""
    request = InferenceRequest(
        messages=HI.messages,
        tools=[ToolSpec(name="look")],
        tool_choice="required",
        response_format=JSONSchemaFormat(schema={"type": "object"}),
        reasoning=ReasoningOptions(effort="high", enabled=True),
    )
    with mlx((RECORDINGS / "tiny_thinking.json").read_bytes()) as server:
        async with MLXAdapter() as adapter:
            result = await adapter.infer(endpoint(server), request)
        body = json.loads(server.requests[0].body)
    assert [warning.subject for warning in result.warnings] == ["tool_choice", "response_format"]
    assert {"tool_choice", "response_format", "reasoning_effort"}.isdisjoint(body)
    assert body["chat_template_kwargs"] == {"reasoning_effort": "high", "enable_thinking": True}


async def test_tools_that_must_not_be_called_are_not_offered() -> None:
    """`tool_choice="none"` is kept by leaving the tools out, because the server would not heed it."""
    request = InferenceRequest(messages=HI.messages, tools=[ToolSpec(name="look")], tool_choice="none")
    with mlx((RECORDINGS / "tiny_thinking.json").read_bytes()) as server:
        async with MLXAdapter() as adapter:
            result = await adapter.infer(endpoint(server), request)
        body = json.loads(server.requests[0].body)
    assert "tools" not in body
    assert result.warnings == ()


async def test_health() -> None:
    """`/health` is at the root, also of an endpoint that names `/v1`."""
    with mlx(b'{"status": "ok"}') as server:
        async with MLXAdapter() as adapter:
            report = await adapter.check_health(endpoint(server, "/v1"))
        assert server.requests[0].target == "/health"
    assert report.state is HealthState.HEALTHY
    with mlx(b'{"status": "unavailable"}', "503 Service Unavailable") as server:
        async with MLXAdapter() as adapter:
            report = await adapter.check_health(endpoint(server))
    assert report.state is HealthState.UNHEALTHY


async def test_a_path_that_is_not_there() -> None:
    """`Not Found`, labelled JSON and none, is an error like any other."""
    with mlx(b"Not Found", "404 Not Found") as server:
        async with MLXAdapter(max_retries=0) as adapter:
            with pytest.raises(AirframeError, match="Not Found") as caught:
                await adapter.list_models(endpoint(server))
    assert caught.value.status == 404
