"""What a call becomes in metrics: each exchange counted once, with the conventions' units and buckets."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import cast

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric, NumberDataPoint
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

from airframe.errors import ErrorCategory
from airframe.types import InferenceRequest, Message, Usage
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.telemetry import OpenTelemetryObserver

CALL = CallStarted(
    call_id="call-1",
    started_at_ns=1_790_000_000_000_000_000,
    provider="openai",
    model="gpt-5",
    server_address="api.openai.com",
    server_port=443,
    request=InferenceRequest(messages=[Message("user", "marker-of-the-prompt")]),
    agent_name="planner",
    streamed=True,
)
REFUSED = AttemptFinished(
    number=1,
    reason="first",
    provider="openai",
    model="gpt-5",
    server_address="api.openai.com",
    server_port=443,
    started_at_ns=CALL.started_at_ns,
    duration=0.5,
    category=ErrorCategory.RATE_LIMIT,
    status=429,
    error="the backend quotes marker-of-the-prompt",
)
ANSWERED = AttemptFinished(
    number=2,
    reason="fallback",
    provider="llamaserver",
    model="tiny",
    server_address="127.0.0.1",
    server_port=8080,
    started_at_ns=CALL.started_at_ns,
    duration=1.5,
    time_to_first_event=0.25,
    status=200,
    response_model="tiny-scripted",
    usage=Usage(input_tokens=22, output_tokens=20),
    usage_source="reported",
    cost_usd=Decimal("0.25"),
)
OPENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "server.address": "api.openai.com",
    "server.port": 443,
}
LOCAL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "llama_cpp",
    "gen_ai.request.model": "tiny",
    "gen_ai.response.model": "tiny-scripted",
    "server.address": "127.0.0.1",
    "server.port": 8080,
}


class Meters:
    """An observer whose metrics stay in memory."""

    def __init__(self, tracers: TracerProvider | NoOpTracerProvider) -> None:
        self._reader = InMemoryMetricReader()
        meters = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)
        self._observer = OpenTelemetryObserver(tracers, meters)

    def observe(self, *attempts: AttemptFinished, call: CallStarted = CALL) -> None:
        """Tell the observer of a whole call."""
        observation = self._observer.call_started(call)
        for attempt in attempts:
            observation.attempt_finished(attempt)
        observation.call_finished(
            CallFinished(
                ended_at_ns=CALL.started_at_ns,
                outcome="success",
                usage=ANSWERED.usage,
                cost_usd=ANSWERED.cost_usd,
                attempts=attempts,
            )
        )

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that have points, by name."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def histogram(self, name: str) -> list[HistogramDataPoint]:
        """The points of a histogram, in the order in which they were first recorded."""
        return [cast("HistogramDataPoint", point) for point in self.metrics[name].data.data_points]

    def counter(self, name: str) -> list[NumberDataPoint]:
        """The points of a counter."""
        return [cast("NumberDataPoint", point) for point in self.metrics[name].data.data_points]


@pytest.fixture
def meters() -> Meters:
    return Meters(NoOpTracerProvider())


def test_each_attempt_is_timed_once_and_the_call_never(meters: Meters) -> None:
    """A fallback gives two durations, each with its own target, and the failed one with its error."""
    meters.observe(REFUSED, ANSWERED)
    points = meters.histogram("gen_ai.client.operation.duration")
    assert [(point.count, point.sum, point.attributes) for point in points] == [
        (1, 0.5, OPENAI | {"error.type": "rate_limit"}),
        (1, 1.5, LOCAL),
    ]


def test_tokens_and_cost_are_those_of_the_attempts(meters: Meters) -> None:
    """Input and output are points of one histogram; cost is a counter in USD."""
    meters.observe(REFUSED, ANSWERED)
    points = meters.histogram("gen_ai.client.token.usage")
    assert [(point.count, point.sum, point.attributes) for point in points] == [
        (1, 22, LOCAL | {"gen_ai.token.type": "input"}),
        (1, 20, LOCAL | {"gen_ai.token.type": "output"}),
    ]
    (cost,) = meters.counter("avionics.cost")
    assert (cost.value, cost.attributes) == (0.25, LOCAL)


def test_the_first_chunk_is_timed_in_streams_only(meters: Meters) -> None:
    """A whole answer has no first chunk, whatever was measured."""
    meters.observe(ANSWERED, call=replace(CALL, streamed=False))
    assert "gen_ai.client.operation.time_to_first_chunk" not in meters.metrics
    meters.observe(ANSWERED)
    (point,) = meters.histogram("gen_ai.client.operation.time_to_first_chunk")
    assert (point.sum, point.attributes) == (0.25, LOCAL)


def test_units_and_buckets_are_the_advised_ones(meters: Meters) -> None:
    """Dashboards expect the conventions' units and boundaries."""
    meters.observe(ANSWERED)
    seconds = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    tokens = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
    for name, unit, bounds in (
        ("gen_ai.client.operation.duration", "s", seconds),
        ("gen_ai.client.operation.time_to_first_chunk", "s", seconds),
        ("gen_ai.client.token.usage", "{token}", tokens),
    ):
        assert meters.metrics[name].unit == unit
        assert tuple(meters.histogram(name)[0].explicit_bounds) == bounds
    assert meters.metrics["avionics.cost"].unit == "USD"


def test_tokens_that_no_backend_counted_are_not_counted(meters: Meters) -> None:
    """An estimate is no measurement, and neither is silence."""
    meters.observe(replace(ANSWERED, usage_source="estimated"))
    meters.observe(replace(ANSWERED, usage=Usage()))
    assert "gen_ai.client.token.usage" not in meters.metrics


def test_an_unknown_price_is_not_counted_as_zero(meters: Meters) -> None:
    """The cost counter hears of known prices only."""
    meters.observe(replace(ANSWERED, cost_usd=None))
    assert "avionics.cost" not in meters.metrics


def test_a_request_refused_on_this_side_is_no_operation(meters: Meters) -> None:
    """An invalid request that was never sent is not timed; a connection that failed is."""
    meters.observe(replace(REFUSED, category=ErrorCategory.INVALID_REQUEST, status=None))
    assert meters.metrics == {}
    meters.observe(replace(REFUSED, category=ErrorCategory.CONNECTION, status=None))
    (point,) = meters.histogram("gen_ai.client.operation.duration")
    assert point.attributes == OPENAI | {"error.type": "connection"}


def test_metrics_do_not_depend_on_sampling() -> None:
    """A call whose trace is not kept is still counted."""
    meters = Meters(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    meters.observe(ANSWERED)
    assert meters.histogram("gen_ai.client.operation.duration")[0].count == 1


def test_exemplars_point_at_the_span_of_the_attempt() -> None:
    """From a slow bucket one finds the trace of a slow exchange."""
    meters = Meters(TracerProvider(shutdown_on_exit=False))
    meters.observe(ANSWERED)
    (exemplar,) = meters.histogram("gen_ai.client.operation.duration")[0].exemplars
    assert exemplar.span_id


def test_nothing_that_was_said_and_no_agent_is_in_a_metric(meters: Meters) -> None:
    """Metrics hold no content, and no name of which there may be any number."""
    meters.observe(REFUSED, ANSWERED)
    everything = str(meters.metrics)
    assert "marker-of-the-prompt" not in everything
    assert "planner" not in everything
