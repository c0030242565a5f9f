"""The same calls, told by OpenTelemetry's own library for GenAI and by us: the same keys, values, units and buckets.

What we say beyond it is listed here: names that begin with `avionics.`, the cost, the agent on a call, and the older
name for tokens written to a prompt cache.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airframe.errors import ErrorCategory
from airframe.types import (
    FilePart,
    FinishReason,
    ImagePart,
    InferenceRequest,
    InferenceResult,
    JSONSchemaFormat,
    Message,
    ReasoningOptions,
    ReasoningPart,
    TextPart,
    ToolCall,
    ToolSpec,
    Usage,
)
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.telemetry import OpenTelemetryObserver

REASON = "opentelemetry-util-genai is not installed (dependency group `oracle`)"
handler: Any = pytest.importorskip("opentelemetry.util.genai.handler", reason=REASON)
types: Any = pytest.importorskip("opentelemetry.util.genai.types", reason=REASON)

ObserverWith = Callable[..., OpenTelemetryObserver]
Content = Mapping[str, object]

START = 1_790_000_000_000_000_000
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
CONTENT = {
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
}
OURS_ALONE = {
    "gen_ai.agent.name",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cost.amount",
    "gen_ai.usage.cost.currency",
    "gen_ai.usage.cost.source",
}

CALL = CallStarted(
    call_id="call-1",
    started_at_ns=START,
    provider="openai",
    model="gpt-5",
    server_address="api.openai.com",
    server_port=443,
    request=InferenceRequest(
        messages=[
            Message(
                "user",
                [
                    TextPart("What is this?"),
                    ImagePart(url="https://example.org/a.png", media_type="image/png"),
                    FilePart(file_id="file-1", media_type="application/pdf"),
                ],
            ),
            Message("assistant", [ToolCall(id="t-1", name="look", arguments='{"at": "sky"}')]),
            Message.tool("t-1", "blue"),
        ],
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        max_tokens=100,
        seed=7,
        stop=["END", "STOP"],
        reasoning=ReasoningOptions(effort="low"),
        response_format=JSONSchemaFormat(schema={"type": "object"}),
        previous_response_id="resp-0",
        tools=[ToolSpec(name="look", description="Looks.")],
    ),
    agent_name="planner",
    streamed=True,
    conversation_id="conversation-1",
    kind="openai",
)
USAGE = Usage(
    input_tokens=100,
    output_tokens=30,
    cache_read_tokens=40,
    cache_write_tokens=10,
    reasoning_tokens=20,
    input_audio_tokens=5,
)
RESULT = InferenceResult(
    content=[ReasoningPart(text="Hm."), TextPart("The sky.")],
    finish_reason=FinishReason.STOP,
    usage=USAGE,
    model="gpt-5-2026",
    response_id="resp-1",
)
ATTEMPT = AttemptFinished(
    number=1,
    reason="first",
    provider="openai",
    model="gpt-5",
    server_address="api.openai.com",
    server_port=443,
    started_at_ns=START,
    duration=1.5,
    time_to_first_event=0.25,
    chunk_gaps=(0.02,),
    response_model="gpt-5-2026",
    response_id="resp-1",
    finish_reason=FinishReason.STOP,
    usage=USAGE,
    usage_source="reported",
    kind="openai",
)
END = CallFinished(
    ended_at_ns=START + 2_000_000_000,
    outcome="success",
    provider="openai",
    result=RESULT,
    usage=USAGE,
    time_to_first_event=0.25,
    attempts=(ATTEMPT,),
)
FAILED_ATTEMPT = replace(
    ATTEMPT,
    category=ErrorCategory.RATE_LIMIT,
    time_to_first_event=None,
    chunk_gaps=(),
    response_model=None,
    response_id=None,
    finish_reason=None,
    usage=None,
    usage_source="unknown",
)
FAILED = CallFinished(
    ended_at_ns=START + 2_000_000_000,
    outcome="error",
    provider="openai",
    category=ErrorCategory.RATE_LIMIT,
    attempts=(FAILED_ATTEMPT,),
)


class Oracle:
    """OpenTelemetry's library, and what it told."""

    def __init__(self) -> None:
        self.spans, self.metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self.events = cast("Callable[[], InMemoryLogRecordExporter]", InMemoryLogRecordExporter)()
        tracers, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self.events))
        meters = MeterProvider([self.metrics], shutdown_on_exit=False)
        self._handler = handler.TelemetryHandler(tracers, meters, loggers)

    def begin(self) -> Any:
        """The call, as asked."""
        call = self._handler.inference(
            "openai",
            request_model="gpt-5",
            server_address="api.openai.com",
            server_port=443,
            conversation_id="conversation-1",
            _attach_to_context=False,
        )
        call.temperature, call.top_p, call.top_k = 0.5, 0.9, 40
        call.frequency_penalty, call.presence_penalty = 0.1, 0.2
        call.max_tokens, call.seed, call.stop_sequences = 100, 7, ["END", "STOP"]
        call.output_type, call.request_stream = "json", True
        call.data.request_reasoning_level = "low"
        call.data.request_previous_response_id = "resp-0"
        call.input_messages = [
            types.InputMessage(
                "user",
                [
                    types.TextPart("What is this?"),
                    types.UriPart(mime_type="image/png", modality="image", uri="https://example.org/a.png"),
                    types.FilePart(mime_type="application/pdf", modality="document", file_id="file-1"),
                ],
            ),
            types.InputMessage(
                "assistant", [types.ToolCallRequestPart(id="t-1", name="look", arguments={"at": "sky"})]
            ),
            types.InputMessage("tool", [types.ToolCallResponsePart(id="t-1", response="blue")]),
        ]
        call.tool_definitions = [types.FunctionToolDefinition(name="look", description=None, parameters=None)]
        return call

    def succeed(self) -> None:
        """The call with its answer, in chunks."""
        call = self.begin()
        call.response_model_name = "gpt-5-2026"
        for moment in (0.25, 0.27):  # what its wrappers of streams call for each chunk
            call._on_stream_chunk(call._monotonic_start_s + moment)
        call.ttfc_seconds = 0.25
        call.output_messages = [
            types.OutputMessage("assistant", [types.ReasoningPart("Hm."), types.TextPart("The sky.")], "stop")
        ]
        call.response_id, call.finish_reasons = "resp-1", ["stop"]
        call.input_tokens, call.output_tokens, call.thinking_tokens = 100, 30, 20
        call.cache_read_input_tokens, call.cache_write_input_tokens = 40, 10
        call.data.usage_audio_input_tokens = 5
        call.stop()

    def fail(self) -> None:
        """The call with an error."""
        self.begin().fail(types.Error(message="rate_limit", type="rate_limit"))


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Oracle:
    monkeypatch.setenv(CAPTURE, "SPAN_AND_EVENT")
    return Oracle()


def tell(observer: OpenTelemetryObserver, end: CallFinished) -> None:
    observation = observer.call_started(CALL)
    for attempt in end.attempts:
        observation.attempt_finished(attempt)
    observation.call_finished(end)


def call_of(exporter: InMemorySpanExporter) -> ReadableSpan:
    return exporter.get_finished_spans()[-1]


def comparable(attributes: Mapping[str, Any] | None) -> Content:
    """Attributes that both have, with lists as lists, messages decoded, and absent what is None."""
    return {
        name: without_none(json.loads(value) if name in CONTENT and isinstance(value, str) else value)
        for name, value in (attributes or {}).items()
        if not name.startswith("avionics.") and name not in OURS_ALONE
    }


def without_none(value: Any) -> Any:
    match value:
        case Mapping():
            items = cast("Mapping[str, Any]", value).items()
            return {name: without_none(item) for name, item in items if item is not None}
        case list() | tuple():
            return [without_none(item) for item in cast("list[Any]", value)]
        case _:
            return value


def shape(reader: InMemoryMetricReader) -> Mapping[str, object]:
    """Units, buckets, counts and attributes of all metrics that both have."""
    data = reader.get_metrics_data()
    metrics = [
        metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    return {
        metric.name: (
            metric.unit,
            [
                (dict(point.attributes or {}), point.count, point.explicit_bounds)
                for point in metric.data.data_points
                if isinstance(point, HistogramDataPoint)
            ],
        )
        for metric in metrics
        if not metric.name.startswith("avionics.")
    }


def test_a_span_is_the_oracle_s(observer_with: ObserverWith, spans: InMemorySpanExporter, oracle: Oracle) -> None:
    """Name, kind, status and every attribute of a call, with what was said."""
    oracle.succeed()
    tell(observer_with(), END)
    ours, theirs = call_of(spans), call_of(oracle.spans)
    assert (ours.name, ours.kind, ours.status.status_code) == (theirs.name, theirs.kind, theirs.status.status_code)
    assert comparable(ours.attributes) == comparable(theirs.attributes)
    assert (ours.attributes or {}).keys() >= {"gen_ai.input.messages", "gen_ai.output.messages"}


def test_a_failed_span_is_the_oracle_s(
    observer_with: ObserverWith, spans: InMemorySpanExporter, oracle: Oracle
) -> None:
    """The same with an error."""
    oracle.fail()
    tell(observer_with(), FAILED)
    ours, theirs = call_of(spans), call_of(oracle.spans)
    assert ours.status.status_code is theirs.status.status_code
    assert ours.status.description == theirs.status.description
    assert comparable(ours.attributes) == comparable(theirs.attributes)


def test_an_event_is_the_oracle_s(
    observer_with: ObserverWith, events: InMemoryLogRecordExporter, oracle: Oracle
) -> None:
    """Its name, and every attribute, with what was said as it is."""
    oracle.succeed()
    tell(observer_with(), END)
    (ours,), (theirs,) = events.get_finished_logs(), oracle.events.get_finished_logs()
    assert ours.log_record.event_name == theirs.log_record.event_name
    assert comparable(ours.log_record.attributes) == comparable(theirs.log_record.attributes)


@pytest.mark.parametrize("end", [END, FAILED], ids=["success", "error"])
def test_metrics_are_the_oracle_s(
    observer_with: ObserverWith, metrics: InMemoryMetricReader, oracle: Oracle, end: CallFinished
) -> None:
    """Names, units, buckets, and the attributes and number of their points."""
    if end is END:
        oracle.succeed()
    else:
        oracle.fail()
    tell(observer_with(), end)
    assert shape(metrics) == shape(oracle.metrics)
