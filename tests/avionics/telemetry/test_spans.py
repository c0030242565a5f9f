"""What a call becomes in a trace: one span, a span below it for each attempt, and nothing that was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from airframe.errors import ErrorCategory
from airframe.types import (
    FinishReason,
    InferenceRequest,
    InferenceResult,
    JSONSchemaFormat,
    Message,
    ReasoningOptions,
    TextPart,
    Usage,
)
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted, Outcome
from avionics.telemetry import OpenTelemetryObserver

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
PROMPT, ANSWER, KEY = "marker-of-the-prompt", "marker-of-the-answer", "sk-marker-of-the-key"
USAGE = Usage(input_tokens=22, output_tokens=20, cache_read_tokens=4, reasoning_tokens=6, raw={"note": ANSWER})

REQUEST = InferenceRequest(messages=[Message("user", PROMPT)], model="tiny", extra_headers={"authorization": KEY})
CALL = CallStarted(
    call_id="call-1",
    started_at_ns=START,
    provider="llamaserver",
    model="tiny",
    server_address="127.0.0.1",
    server_port=8080,
    request=REQUEST,
    agent_name="planner",
    streamed=True,
)
ANSWERED = AttemptFinished(
    number=1,
    reason="first",
    provider="llamaserver",
    model="tiny",
    server_address="127.0.0.1",
    server_port=8080,
    started_at_ns=START,
    duration=1.5,
    time_to_first_event=0.25,
    status=200,
    response_model="tiny-scripted",
    response_id="chatcmpl-1",
    finish_reason=FinishReason.STOP,
    usage=USAGE,
    usage_source="reported",
    cost_usd=Decimal(0),
)
REFUSED = AttemptFinished(
    number=1,
    reason="first",
    provider="openai",
    model="gpt-5",
    server_address="api.openai.com",
    server_port=443,
    started_at_ns=START,
    duration=0.5,
    category=ErrorCategory.RATE_LIMIT,
    status=429,
    error=f"the backend quotes {PROMPT} and {KEY}",
    error_code="insufficient_quota",
)
RESULT = InferenceResult(
    content=[TextPart(ANSWER)],
    finish_reason=FinishReason.STOP,
    usage=USAGE,
    model="tiny-scripted",
    response_id="chatcmpl-1",
)
SUCCESS = CallFinished(
    ended_at_ns=START + 2 * SECOND,
    outcome="success",
    provider="llamaserver",
    model="tiny",
    result=RESULT,
    usage=USAGE,
    cost_usd=Decimal(0),
    time_to_first_event=0.25,
    attempts=(ANSWERED,),
)
CUT = replace(
    ANSWERED,
    category=ErrorCategory.CONNECTION,
    status=200,
    error=f"lost after {ANSWER}",
    finish_reason=None,
    usage=Usage(input_tokens=22, output_tokens=3),
    usage_source="estimated",
    cost_usd=None,
)

Typed = dict[str, tuple[type, object]]


class Trace:
    """An observer whose spans stay in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._observer = OpenTelemetryObserver(tracers, NoOpMeterProvider())

    def observe(self, call: CallStarted, end: CallFinished) -> None:
        """Tell the observer of a whole call."""
        observation = self._observer.call_started(call)
        for attempt in end.attempts:
            observation.attempt_finished(attempt)
        observation.call_finished(end)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans in the order in which they ended: the attempts, then the call."""
        return self._exporter.get_finished_spans()


@pytest.fixture
def traced() -> Trace:
    return Trace()


def typed(attributes: Mapping[str, object] | None) -> Typed:
    """Values beside their types: 1 == 1.0 == True, but a backend stores them as different things."""
    return {name: (type(value), value) for name, value in (attributes or {}).items()}


def test_a_streamed_answer_is_a_span_with_the_facts_of_the_call(traced: Trace) -> None:
    """The span of a call bears the conventions' names with values of the conventions' types."""
    traced.observe(CALL, SUCCESS)
    call = traced.spans[-1]
    assert (call.name, call.kind, call.parent) == ("chat tiny", SpanKind.CLIENT, None)
    assert (call.start_time, call.end_time) == (START, START + 2 * SECOND)
    assert call.status.status_code is StatusCode.UNSET
    assert typed(call.attributes) == typed(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "llama_cpp",
            "gen_ai.agent.name": "planner",
            "gen_ai.request.model": "tiny",
            "gen_ai.request.stream": True,
            "server.address": "127.0.0.1",
            "server.port": 8080,
            "gen_ai.response.model": "tiny-scripted",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.usage.input_tokens": 22,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.reasoning.output_tokens": 6,
            "avionics.usage.source": "reported",
            "gen_ai.usage.cost.amount": 0.0,
            "gen_ai.usage.cost.currency": "USD",
            "gen_ai.usage.cost.source": "local",
            "avionics.call.id": "call-1",
            "avionics.call.outcome": "success",
            "avionics.backend": "llamaserver",
        }
    )


def test_an_attempt_is_a_span_below_the_call(traced: Trace) -> None:
    """The exchange that answered has its own span, target, times and usage."""
    traced.observe(CALL, SUCCESS)
    attempt, call = traced.spans
    assert attempt.parent == call.context
    assert (attempt.name, attempt.kind) == ("chat tiny", SpanKind.CLIENT)
    assert (attempt.start_time, attempt.end_time) == (START, START + 3 * SECOND // 2)
    assert typed(attempt.attributes) == typed(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "llama_cpp",
            "gen_ai.request.model": "tiny",
            "server.address": "127.0.0.1",
            "server.port": 8080,
            "gen_ai.response.model": "tiny-scripted",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.usage.input_tokens": 22,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.reasoning.output_tokens": 6,
            "avionics.usage.source": "reported",
            "gen_ai.usage.cost.amount": 0.0,
            "gen_ai.usage.cost.currency": "USD",
            "http.response.status_code": 200,
            "avionics.attempt.number": 1,
            "avionics.backend": "llamaserver",
        }
    )


def test_the_parameters_of_the_request_are_attributes(traced: Trace) -> None:
    """What the caller set is on the span, numbers as double where the conventions say double; the rest is left out."""
    request = replace(
        REQUEST,
        temperature=0,
        top_p=1,
        top_k=40,
        frequency_penalty=1,
        presence_penalty=-1,
        max_tokens=100,
        seed=7,
        stop=["END"],
        reasoning=ReasoningOptions(effort="low"),
        response_format=JSONSchemaFormat(schema={"type": "object"}),
    )
    traced.observe(replace(CALL, request=request, streamed=False, agent_name=None), SUCCESS)
    attributes = traced.spans[-1].attributes or {}
    asked = {
        name: value for name, value in attributes.items() if name.startswith(("gen_ai.request.", "gen_ai.output."))
    }
    assert typed(asked) == typed(
        {
            "gen_ai.request.model": "tiny",
            "gen_ai.request.temperature": 0.0,
            "gen_ai.request.top_p": 1.0,
            "gen_ai.request.top_k": 40,
            "gen_ai.request.frequency_penalty": 1.0,
            "gen_ai.request.presence_penalty": -1.0,
            "gen_ai.request.max_tokens": 100,
            "gen_ai.request.seed": 7,
            "gen_ai.request.stop_sequences": ("END",),
            "gen_ai.request.reasoning.level": "low",
            "gen_ai.output.type": "json",
        }
    )
    assert "gen_ai.agent.name" not in attributes


def test_a_whole_answer_has_no_first_chunk(traced: Trace) -> None:
    """The time to the first chunk belongs to streams."""
    traced.observe(replace(CALL, streamed=False), SUCCESS)
    assert not [name for span in traced.spans for name in span.attributes or {} if "first_chunk" in name]


def test_a_retry_is_a_second_attempt_and_no_second_call(traced: Trace) -> None:
    """Two attempts lie under one call, each with its number, and the second with its reason."""
    again = replace(ANSWERED, number=2, reason="retry")
    traced.observe(CALL, replace(SUCCESS, attempts=(replace(REFUSED, provider="llamaserver"), again)))
    first, second, call = traced.spans
    assert [span.parent for span in (first, second)] == [call.context, call.context]
    assert [(span.attributes or {})["avionics.attempt.number"] for span in (first, second)] == [1, 2]
    assert "avionics.attempt.reason" not in (first.attributes or {})
    assert (second.attributes or {})["avionics.attempt.reason"] == "retry"
    assert call.status.status_code is StatusCode.UNSET


def test_a_fallback_shows_who_failed_and_who_answered(traced: Trace) -> None:
    """Each attempt names its own provider, model and server; the call names who was asked and who answered."""
    asked = replace(CALL, provider="openai", model="gpt-5", server_address="api.openai.com", server_port=443)
    traced.observe(asked, replace(SUCCESS, attempts=(REFUSED, replace(ANSWERED, number=2, reason="fallback"))))
    failed, answered, call = traced.spans
    assert failed.name == "chat gpt-5"
    assert answered.name == "chat tiny"
    failed_attributes, answered_attributes = failed.attributes or {}, answered.attributes or {}
    assert failed_attributes["gen_ai.provider.name"] == "openai"
    assert failed_attributes["server.address"] == "api.openai.com"
    assert answered_attributes["gen_ai.provider.name"] == "llama_cpp"
    assert answered_attributes["avionics.attempt.reason"] == "fallback"
    assert (call.attributes or {})["gen_ai.request.model"] == "gpt-5"
    assert (call.attributes or {})["gen_ai.response.model"] == "tiny-scripted"
    assert (call.attributes or {})["avionics.backend"] == "llamaserver"


def test_an_error_before_any_output_is_an_error_span(traced: Trace) -> None:
    """Category, status and machine code tell of the failure; there is no answer to speak of."""
    end = replace(
        SUCCESS,
        outcome="error",
        result=None,
        usage=None,
        cost_usd=None,
        time_to_first_event=None,
        category=ErrorCategory.RATE_LIMIT,
        error=REFUSED.error,
        error_code=REFUSED.error_code,
        attempts=(REFUSED,),
    )
    traced.observe(CALL, end)
    attempt, call = traced.spans
    assert (attempt.status.status_code, attempt.status.description) == (
        StatusCode.ERROR,
        "rate_limit 429 insufficient_quota",
    )
    assert (call.status.status_code, call.status.description) == (StatusCode.ERROR, "rate_limit insufficient_quota")
    for span in (attempt, call):
        attributes = span.attributes or {}
        assert attributes["error.type"] == "rate_limit"
        assert not [name for name in attributes if name.startswith(("gen_ai.response.", "gen_ai.usage."))]


def test_an_error_after_output_has_an_unfinished_answer(traced: Trace) -> None:
    """A cut stream has the finish reason `error`, and what was known of the answer stays."""
    partial = replace(RESULT, finish_reason=None, usage=Usage())
    end = replace(
        SUCCESS,
        outcome="error",
        result=None,
        partial=partial,
        usage=None,
        cost_usd=None,
        category=ErrorCategory.CONNECTION,
        error=CUT.error,
        attempts=(CUT,),
    )
    traced.observe(CALL, end)
    for span in traced.spans:
        attributes = span.attributes or {}
        assert span.status.status_code is StatusCode.ERROR
        assert attributes["error.type"] == "connection"
        assert attributes["gen_ai.response.finish_reasons"] == ("error",)
        assert attributes["gen_ai.response.id"] == "chatcmpl-1"
        assert "gen_ai.usage.input_tokens" not in attributes


@pytest.mark.parametrize("outcome", ["cancelled", "abandoned"])
def test_a_call_that_its_caller_ended_is_no_error(traced: Trace, outcome: Outcome) -> None:
    """A cancelled task or a dropped stream leaves a finished span: `cancelled`, its status unset."""
    attempt = replace(CUT, category=ErrorCategory.CANCELLED, error=None)
    end = CallFinished(
        ended_at_ns=START + SECOND,
        outcome=outcome,
        provider="llamaserver",
        partial=replace(RESULT, finish_reason=None),
        attempts=(attempt,),
    )
    traced.observe(CALL, end)
    for span in traced.spans:
        assert (span.attributes or {})["error.type"] == "cancelled"
        assert (span.attributes or {})["gen_ai.response.finish_reasons"] == ("error",)
        assert span.status.status_code is StatusCode.UNSET
    call = traced.spans[-1]
    assert call.end_time == START + SECOND
    assert (call.attributes or {})["avionics.call.outcome"] == outcome


def test_a_hit_of_the_response_cache_is_a_call_without_attempts(traced: Trace) -> None:
    """Nothing was asked, nothing was used, and what it saved is told."""
    end = replace(
        SUCCESS,
        result=replace(RESULT, reported_cost=Decimal("0.0125")),
        usage=None,
        cost_usd=Decimal(0),
        attempts=(),
        cache="hit",
        saved_usd=Decimal("0.0125"),
    )
    traced.observe(replace(CALL, variant="tone/b", session_id="s-1", route=("openai", "llamaserver")), end)
    (call,) = traced.spans
    attributes = call.attributes or {}
    assert attributes["avionics.cache.result"] == "hit"
    assert attributes["avionics.cache.saved"] == 0.0125
    assert (attributes["gen_ai.usage.cost.amount"], attributes["gen_ai.usage.cost.source"]) == (0.0, "local")
    assert attributes["avionics.experiment.variant"] == "tone/b"
    assert attributes["avionics.session.id"] == "s-1"
    assert attributes["avionics.route"] == ("openai", "llamaserver")
    assert not [name for name in attributes if name.endswith("_tokens")]


def test_the_deployment_is_named(traced: Trace) -> None:
    """Of an attempt it is the one that was asked, of a call the one that answered."""
    attempt = replace(ANSWERED, deployment="eu-1")
    traced.observe(CALL, replace(SUCCESS, attempts=(attempt,), deployment="eu-1"))
    assert [(span.attributes or {})["avionics.deployment"] for span in traced.spans] == ["eu-1", "eu-1"]


def test_openai_s_tiers_are_told_of_openai_alone(traced: Trace) -> None:
    """The conventions have names for them; `auto` leaves the choice open and says nothing."""
    request = replace(REQUEST, service_tier="flex")
    end = replace(SUCCESS, result=replace(RESULT, service_tier="default"))
    for provider, tier, expected in (("openai", "flex", "flex"), ("openai", "auto", None), ("mine", "flex", None)):
        asked = replace(CALL, provider=provider, request=replace(request, service_tier=tier))
        traced.observe(asked, end)
        attributes = traced.spans[-1].attributes or {}
        assert attributes.get("openai.request.service_tier") == expected
        assert ("openai.response.service_tier" in attributes) is (provider == "openai")


def test_usage_that_nobody_reported_is_left_out(traced: Trace) -> None:
    """Our estimate of the tokens is not passed off as the backend's count; the span says that there is one."""
    traced.observe(CALL, replace(SUCCESS, attempts=(replace(ANSWERED, usage_source="estimated"),)))
    for span in traced.spans:
        assert not [name for name in span.attributes or {} if name.endswith("_tokens")]
        assert (span.attributes or {})["avionics.usage.source"] == "estimated"


def test_an_unknown_price_is_no_cost_of_zero(traced: Trace) -> None:
    """No price, no cost attribute."""
    traced.observe(CALL, replace(SUCCESS, cost_usd=None, attempts=(replace(ANSWERED, cost_usd=None),)))
    assert not [name for span in traced.spans for name in span.attributes or {} if "cost" in name]


def test_a_cost_that_the_provider_reports_is_marked_as_such(traced: Trace) -> None:
    """The source of a cost is `provider` when the answer itself stated it."""
    traced.observe(
        CALL, replace(SUCCESS, result=replace(RESULT, reported_cost=Decimal("0.0125")), cost_usd=Decimal("0.0125"))
    )
    attributes = traced.spans[-1].attributes or {}
    assert attributes["gen_ai.usage.cost.amount"] == 0.0125
    assert attributes["gen_ai.usage.cost.source"] == "provider"


def test_nothing_that_was_said_is_in_a_span(traced: Trace) -> None:
    """Neither prompt nor answer nor key appears, not even where a backend's error quotes them."""
    end = replace(
        SUCCESS, outcome="error", result=None, partial=RESULT, category=ErrorCategory.UNKNOWN, error=CUT.error
    )
    traced.observe(CALL, SUCCESS)
    traced.observe(CALL, replace(end, error_code=f"{PROMPT} {KEY}", attempts=(REFUSED, replace(CUT, number=2))))
    everything = "".join(span.to_json() for span in traced.spans)
    assert len(traced.spans) == 5
    assert not [marker for marker in (PROMPT, ANSWER, KEY) if marker in everything]
