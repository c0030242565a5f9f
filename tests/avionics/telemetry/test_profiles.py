"""In whose words calls are told: those of today's dashboards, the newest, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric, NumberDataPoint
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airframe.errors import ErrorCategory
from airframe.types import InferenceRequest, Message, Usage
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.settings import Settings
from avionics.telemetry import OpenTelemetryObserver

ObserverWith = Callable[..., OpenTelemetryObserver]

CALL = CallStarted(
    call_id="call-1",
    started_at_ns=1_790_000_000_000_000_000,
    provider="openai",
    model="gpt-5",
    server_address="api.openai.com",
    server_port=443,
    request=InferenceRequest(messages=[Message("user", "Hi")]),
    agent_name="planner",
    streamed=True,
)
USAGE = Usage(
    input_tokens=100,
    output_tokens=30,
    cache_read_tokens=40,
    cache_write_tokens=10,
    reasoning_tokens=20,
    input_audio_tokens=60,
)
ATTEMPT = AttemptFinished(
    number=1,
    reason="first",
    provider="openai",
    model="gpt-5",
    server_address="api.openai.com",
    server_port=443,
    started_at_ns=CALL.started_at_ns,
    duration=1.5,
    time_to_first_event=0.25,
    chunk_gaps=(0.02, 0.03),
    usage=USAGE,
    usage_source="reported",
)
TARGET = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "server.address": "api.openai.com",
    "server.port": 443,
}
CLASSIC = {
    "gen_ai.client.operation.duration",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.operation.time_per_output_chunk",
    "gen_ai.client.token.usage",
}
LATEST = {
    "gen_ai.client.inference.duration",
    "gen_ai.client.inference.time_to_first_chunk",
    "gen_ai.client.inference.time_per_output_chunk",
    "gen_ai.client.inference.operation.input_tokens",
    "gen_ai.client.inference.operation.output_tokens",
    "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.client.inference.usage.output_tokens",
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "gen_ai.client.inference.usage.cache_write.input_tokens",
    "gen_ai.client.inference.usage.reasoning.output_tokens",
}


def observe(observer: OpenTelemetryObserver, *attempts: AttemptFinished, call: CallStarted = CALL) -> None:
    """Tell the observer of a whole call."""
    observation = observer.call_started(call)
    for attempt in attempts:
        observation.attempt_finished(attempt)
    observation.call_finished(
        CallFinished(ended_at_ns=CALL.started_at_ns, outcome="success", usage=USAGE, attempts=attempts)
    )


def by_name(reader: InMemoryMetricReader) -> Mapping[str, Metric]:
    data = reader.get_metrics_data()
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    return {metric.name: metric for scope in scopes for metric in scope.metrics}


def points(reader: InMemoryMetricReader, name: str) -> Sequence[tuple[float, Mapping[str, object]]]:
    """Sums of a metric, and their attributes beside those of the target."""
    found: list[tuple[float, Mapping[str, object]]] = []
    for point in by_name(reader)[name].data.data_points:
        attributes = dict(point.attributes or {})
        assert attributes.items() >= TARGET.items()
        rest = {key: value for key, value in attributes.items() if key not in TARGET}
        match point:
            case HistogramDataPoint():
                found.append((point.sum, rest))
            case NumberDataPoint():
                found.append((point.value, rest))
            case _:
                raise AssertionError(f"no such point was expected: {point}")
    return found


@pytest.mark.parametrize(
    ("variable", "setting", "expected"),
    [
        (None, None, CLASSIC),
        ("http, gen_ai_latest_experimental", None, LATEST),
        ("http", None, CLASSIC),
        ("gen_ai_latest_experimental", "classic", CLASSIC),
        (None, "latest", LATEST),
        (None, "both", CLASSIC | LATEST),
    ],
)
def test_the_profile_is_chosen_by_the_settings_else_by_the_variable(
    variable: str | None,
    setting: str | None,
    expected: set[str],
    observer_with: ObserverWith,
    metrics: InMemoryMetricReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The metrics of a chosen profile are there, and no others."""
    if variable is not None:
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", variable)
    observe(observer_with(settings=Settings(telemetry={"semconv": setting}).telemetry), ATTEMPT)
    assert set(by_name(metrics)) == expected


@pytest.mark.parametrize("profile", ["classic", "latest", "both"])
def test_tokens_written_to_a_prompt_cache_have_the_names_of_the_profile(
    profile: str, observer_with: ObserverWith, spans: InMemorySpanExporter
) -> None:
    """The newer name is always there, the older one where somebody may look for it."""
    observe(observer_with(settings=Settings(telemetry={"semconv": profile}).telemetry), ATTEMPT)
    for span in spans.get_finished_spans():
        attributes = span.attributes or {}
        assert attributes["gen_ai.usage.cache_write.input_tokens"] == 10
        assert attributes.get("gen_ai.usage.cache_creation.input_tokens") == (None if profile == "latest" else 10)


def test_the_newest_profile_counts_tokens_by_modality(
    observer_with: ObserverWith, metrics: InMemoryMetricReader
) -> None:
    """What a backend tells apart is told apart; of the rest the modality is unknown, and nothing counts twice."""
    observe(observer_with(settings=Settings(telemetry={"semconv": "latest"}).telemetry), ATTEMPT)
    usage = "gen_ai.client.inference.usage"
    assert points(metrics, f"{usage}.input_tokens") == [
        (60, {"gen_ai.token.modality": "audio"}),
        (40, {"gen_ai.token.modality": "unknown"}),
    ]
    for name, count in (
        ("output_tokens", 30),
        ("cache_read.input_tokens", 40),
        ("cache_write.input_tokens", 10),
        ("reasoning.output_tokens", 20),
    ):
        assert points(metrics, f"{usage}.{name}") == [(count, {"gen_ai.token.modality": "unknown"})]
    assert points(metrics, "gen_ai.client.inference.operation.input_tokens") == [(100, {})]
    assert points(metrics, "gen_ai.client.inference.operation.output_tokens") == [(30, {})]


def test_the_newest_profile_has_a_series_for_failed_exchanges(
    observer_with: ObserverWith, metrics: InMemoryMetricReader
) -> None:
    """An exchange that nobody counted adds 0 to the counters, and nothing to the histograms."""
    failed = replace(ATTEMPT, usage=None, usage_source="unknown", category=ErrorCategory.OVERLOADED)
    observe(observer_with(settings=Settings(telemetry={"semconv": "latest"}).telemetry), failed)
    assert points(metrics, "gen_ai.client.inference.usage.input_tokens") == [(0, {"gen_ai.token.modality": "unknown"})]
    assert "gen_ai.client.inference.operation.input_tokens" not in by_name(metrics)
    ((_, attributes),) = points(metrics, "gen_ai.client.inference.duration")
    assert attributes == {"error.type": "overloaded"}


def test_an_agent_is_on_metrics_only_when_asked_for(observer_with: ObserverWith, metrics: InMemoryMetricReader) -> None:
    """A series for each agent is what somebody has to want."""
    observe(observer_with(), ATTEMPT)
    observe(observer_with(settings=Settings(telemetry={"agent_on_metrics": True}).telemetry), ATTEMPT)
    assert points(metrics, "gen_ai.client.operation.duration") == [(1.5, {}), (1.5, {"gen_ai.agent.name": "planner"})]


def test_gaps_between_chunks_are_a_histogram(observer_with: ObserverWith, metrics: InMemoryMetricReader) -> None:
    """Of a short stream every gap is there; of a long one a few, spread evenly over it."""
    observer = observer_with()
    observe(observer, ATTEMPT)
    assert points(metrics, "gen_ai.client.operation.time_per_output_chunk") == [(0.05, {})]
    observe(observer, replace(ATTEMPT, chunk_gaps=(1.0,) * 32 + (2.0,) * 32))
    (point,) = by_name(metrics)["gen_ai.client.operation.time_per_output_chunk"].data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert (point.count, point.sum) == (2 + 4, 0.05 + 2 * 1.0 + 2 * 2.0)


def test_a_whole_answer_has_no_chunks(observer_with: ObserverWith, metrics: InMemoryMetricReader) -> None:
    """Where nothing was streamed, nothing of chunks is told."""
    observe(observer_with(), ATTEMPT, call=replace(CALL, streamed=False))
    assert not [name for name in by_name(metrics) if "chunk" in name]
