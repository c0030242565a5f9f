"""Telemetry over the wire: OTLP by real HTTP, received, decoded, and refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.testing.hostile.server import Connection, HostileServer, head, unused_port
from airframe.types import Usage
from avionics.llm import LLMGateway, MockProvider
from avionics.settings import Settings
from avionics.telemetry import Telemetry, setup

pytestmark = pytest.mark.anyio

PROMPT, ANSWER, KEY = "marker-of-the-prompt", "marker-of-the-answer", "marker-of-the-key"
MODEL = "gpt-4.1-mini"
RequestT = TypeVar("RequestT", ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest)


def accept(connection: Connection) -> None:
    """What a collector says that has taken everything: an empty message of protobuf."""
    connection.send(head(content_type="application/x-protobuf", content_length=0))


def refuse(connection: Connection) -> None:
    """What a collector says that is overloaded for good."""
    connection.send(head(400, content_length=0))


@pytest.fixture
def collector() -> Iterator[HostileServer]:
    """An OTLP receiver, as far as HTTP goes; what it received is decoded by the tests."""
    with HostileServer(accept) as server:
        yield server


def exporting_to(url: str, **telemetry: object) -> Telemetry:
    section = {"exporters": ["otlp"], "otlp_endpoint": url, "otlp_headers": {"x-key": KEY}, "shutdown_timeout": 60}
    return setup(Settings(telemetry={**section, **telemetry}), for_process=False)


async def make_calls(telemetry: Telemetry) -> None:
    """A call with a fallback, and a stream."""
    answers = [Answer(chunks=[ANSWER, ANSWER, ANSWER], usage=Usage(input_tokens=1000, output_tokens=10))] * 2
    gateway = LLMGateway(
        Settings(llm_provider="llamaserver"),
        ["openai"],
        observers=[telemetry.observer()],
        providers={
            "llamaserver": MockProvider([Failure(ErrorCategory.OVERLOADED)] * 2, name="llamaserver"),
            "openai": MockProvider(answers, name="openai", default_model=MODEL),
        },
    )
    await gateway.complete(PROMPT, agent_name="planner")
    async with gateway.complete_stream(PROMPT, agent_name="planner") as stream:
        assert len([chunk async for chunk in stream]) > 1


def received(server: HostileServer, path: str, make: Callable[[], RequestT]) -> Sequence[RequestT]:
    """What came to that path, decoded."""
    requests: list[RequestT] = []
    for request in server.requests:
        if request.target == path:
            assert (request.method, request.headers["content-type"]) == ("POST", "application/x-protobuf")
            packed = request.headers.get("content-encoding") == "gzip"
            message = make()
            message.ParseFromString(gzip.decompress(request.body) if packed else request.body)
            requests.append(message)
    return requests


def plain(attributes: Sequence[KeyValue]) -> Mapping[str, object]:
    return {pair.key: value(pair.value) for pair in attributes}


def value(wrapped: AnyValue) -> object:
    match wrapped.WhichOneof("value"):
        case "array_value":
            return [value(item) for item in wrapped.array_value.values]
        case "kvlist_value":
            return plain(wrapped.kvlist_value.values)
        case None:
            return None
        case kind:
            return getattr(wrapped, kind)


async def test_a_collector_receives_spans_metrics_and_events(collector: HostileServer) -> None:
    """All signals arrive, linked to each other, under the service's name and with the header that was asked for."""
    telemetry = exporting_to(collector.base_url, service_name="weather", capture_content="event_only")
    await make_calls(telemetry)
    telemetry.shutdown()
    assert {request.headers["x-key"] for request in collector.requests} == {KEY}

    spans = [
        span
        for request in received(collector, "/v1/traces", ExportTraceServiceRequest)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if plain(resource.resource.attributes)["service.name"] == "weather" and scope.scope.name == "avionics"
    ]
    assert len(spans) == 6
    roots = {span.span_id: plain(span.attributes) for span in spans if not span.parent_span_id}
    attempts = [plain(span.attributes) for span in spans if span.parent_span_id in roots]
    assert [root["gen_ai.agent.name"] for root in roots.values()] == ["planner"] * 2
    assert sorted(str(attempt.get("error.type")) for attempt in attempts) == [
        "None",
        "None",
        "overloaded",
        "overloaded",
    ]
    assert [root["gen_ai.usage.input_tokens"] for root in roots.values()] == [1000, 1000]

    names = {
        metric.name
        for request in received(collector, "/v1/metrics", ExportMetricsServiceRequest)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert names == {
        "avionics.cost",
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
        "gen_ai.client.token.usage",
    }

    events = [
        event
        for request in received(collector, "/v1/logs", ExportLogsServiceRequest)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for event in scope.log_records
    ]
    assert {event.event_name for event in events} == {"gen_ai.client.inference.operation.details"}
    assert {event.span_id for event in events} == set(roots)
    for event in events:
        told = plain(event.attributes)
        assert told["gen_ai.input.messages"] == [
            {"role": "user", "parts": [{"type": "text", "content": PROMPT}]},
        ]


async def test_nothing_that_was_said_crosses_the_wire_by_default(collector: HostileServer) -> None:
    """Without capture no byte of a prompt or an answer leaves the process."""
    telemetry = exporting_to(collector.base_url)
    await make_calls(telemetry)
    telemetry.shutdown()
    bodies = b"".join(
        gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        for request in collector.requests
    )
    assert b"planner" in bodies
    assert [marker for marker in (PROMPT, ANSWER, KEY) if marker.encode() in bodies] == []


async def test_a_collector_that_refuses_harms_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """What it does not take is lost, and the header's secret is in no line about that."""
    with HostileServer(refuse) as collector:
        telemetry = exporting_to(collector.base_url)
        await make_calls(telemetry)
        telemetry.shutdown()
        assert collector.requests
    assert KEY not in caplog.text


async def test_a_collector_that_is_not_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls are made, and the end comes, however patient the exporters are by themselves."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")  # they would try again and again, for minutes
    url = f"http://127.0.0.1:{unused_port()}"
    telemetry = exporting_to(url, shutdown_timeout=0.01, capture_content="event_only")
    await make_calls(telemetry)
    telemetry.shutdown()
