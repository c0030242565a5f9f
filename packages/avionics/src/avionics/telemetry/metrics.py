"""The metrics of both profiles: what each attempt took, used and cost.

They are recorded once for each attempt at which something was sent, and never for the call as a whole, so nothing
counts twice. Totals for billing come from the records themselves: a histogram is for percentiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from opentelemetry.context import Context
from opentelemetry.metrics import Counter, Histogram, Meter

from airframe.errors import ErrorCategory
from airframe.types import Usage
from avionics.llm.records import AttemptFinished, CallStarted
from avionics.settings.telemetry import SemconvProfile
from avionics.telemetry import semconv
from avionics.telemetry.attributes import Attributes, attempt_target, error_type
from avionics.telemetry.usage import by_modality

__all__ = ["AttemptMetrics"]

_MOST_GAPS = 4
"""So many gaps between chunks are recorded of a stream: percentiles over many streams need no more of each."""


class AttemptMetrics:
    """The instruments of one meter.

    Args:
        meter: makes them.
        profile: in whose words.
        agent: whether the agent is named, which makes a series for each.
    """

    def __init__(self, meter: Meter, profile: SemconvProfile, *, agent: bool = False) -> None:
        self._agent = agent
        self._instruments: list[_Instruments] = [_Cost(meter)]
        if profile != "latest":
            names = (semconv.OPERATION_DURATION, semconv.TIME_TO_FIRST_CHUNK, semconv.TIME_PER_OUTPUT_CHUNK)
            self._instruments += [_Timings(meter, *names), _ClassicTokens(meter)]
        if profile != "classic":
            names = (
                semconv.INFERENCE_DURATION,
                semconv.INFERENCE_TIME_TO_FIRST_CHUNK,
                semconv.INFERENCE_TIME_PER_OUTPUT_CHUNK,
            )
            self._instruments += [_Timings(meter, *names), _LatestTokens(meter)]

    def record(self, call: CallStarted, attempt: AttemptFinished, context: Context) -> None:
        """Count one attempt. `context` holds its span, to which exemplars point."""
        if not _was_sent(attempt):
            return
        common = attempt_target(attempt)
        if attempt.response_model is not None:
            common[semconv.RESPONSE_MODEL] = attempt.response_model
        if self._agent and call.agent_name is not None:
            common[semconv.AGENT_NAME] = call.agent_name
        kind = error_type(attempt)
        exchange = _Exchange(
            attempt=attempt,
            streamed=call.streamed,
            usage=attempt.usage if attempt.usage_source == "reported" else None,
            common=common,
            ended=common if kind is None else common | {semconv.ERROR_TYPE: kind},
            failed=kind is not None,
            context=context,
        )
        for instruments in self._instruments:
            instruments.record(exchange)


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """What is recorded of: `usage` is None when no backend counted; `ended` are `common` attributes with the error."""

    attempt: AttemptFinished
    streamed: bool
    usage: Usage | None
    common: Attributes
    ended: Attributes
    failed: bool
    context: Context


class _Instruments(Protocol):
    def record(self, exchange: _Exchange) -> None: ...


class _Cost:
    """A counter of our own: the conventions have none."""

    def __init__(self, meter: Meter) -> None:
        self._cost = meter.create_counter(
            semconv.COST, unit="USD", description="Cost of exchanges whose price is known"
        )

    def record(self, exchange: _Exchange) -> None:
        cost = exchange.attempt.cost_usd
        if cost is not None:
            self._cost.add(float(cost), exchange.common, exchange.context)


class _Timings:
    """How long it took: the same in both profiles, but for the names."""

    def __init__(self, meter: Meter, duration: str, first_chunk: str, output_chunk: str) -> None:
        self._duration = _seconds(meter, duration, "Duration of an exchange with a model")
        self._first_chunk = _seconds(
            meter, first_chunk, "Time from the request to the first chunk of a streamed answer"
        )
        self._output_chunk = _seconds(meter, output_chunk, "Time from a chunk of a streamed answer to the next one")

    def record(self, exchange: _Exchange) -> None:
        attempt, ended, context = exchange.attempt, exchange.ended, exchange.context
        self._duration.record(attempt.duration, ended, context)
        if not exchange.streamed:
            return
        if attempt.time_to_first_event is not None:
            self._first_chunk.record(attempt.time_to_first_event, ended, context)
        step = math.ceil(len(attempt.chunk_gaps) / _MOST_GAPS) or 1
        for gap in attempt.chunk_gaps[::step]:
            self._output_chunk.record(gap, ended, context)


class _ClassicTokens:
    """One histogram with the kind of token as an attribute."""

    def __init__(self, meter: Meter) -> None:
        self._tokens = _token_histogram(meter, semconv.TOKEN_USAGE, "Tokens of an exchange, as the backend counted")

    def record(self, exchange: _Exchange) -> None:
        if usage := exchange.usage:
            for kind, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
                if count is not None:
                    self._tokens.record(count, exchange.common | {semconv.TOKEN_TYPE: kind}, exchange.context)


class _LatestTokens:
    """A histogram for each kind of token, and counters of the totals by modality."""

    def __init__(self, meter: Meter) -> None:
        self._input = _token_histogram(meter, semconv.INFERENCE_INPUT_TOKENS, "Tokens that an exchange read")
        self._output = _token_histogram(meter, semconv.INFERENCE_OUTPUT_TOKENS, "Tokens that an exchange wrote")
        self._used_input = _token_counter(meter, semconv.USED_INPUT_TOKENS, "Tokens read")
        self._used_output = _token_counter(meter, semconv.USED_OUTPUT_TOKENS, "Tokens written")
        self._parts = {
            field: _token_counter(meter, name, description)
            for field, name, description in (
                ("cache_read_tokens", semconv.USED_CACHE_READ_TOKENS, "Tokens read from a provider's prompt cache"),
                ("cache_write_tokens", semconv.USED_CACHE_WRITE_TOKENS, "Tokens written to a provider's prompt cache"),
                ("reasoning_tokens", semconv.USED_REASONING_TOKENS, "Tokens written while reasoning"),
            )
        }

    def record(self, exchange: _Exchange) -> None:
        usage = exchange.usage
        if usage is not None:
            for histogram, count in ((self._input, usage.input_tokens), (self._output, usage.output_tokens)):
                if count is not None:
                    histogram.record(count, exchange.ended, exchange.context)
            self._count(exchange, usage)
        elif exchange.failed:  # adds nothing, but there is a series
            self._count(exchange, Usage(input_tokens=0, output_tokens=0))

    def _count(self, exchange: _Exchange, usage: Usage) -> None:
        for counter, total, audio in (
            (self._used_input, usage.input_tokens, usage.input_audio_tokens),
            (self._used_output, usage.output_tokens, usage.output_audio_tokens),
        ):
            for modality, count in by_modality(total, audio) if total is not None else ():
                counter.add(count, exchange.common | {semconv.TOKEN_MODALITY: modality}, exchange.context)
        for field, counter in self._parts.items():
            part: int | None = getattr(usage, field)
            if part:
                counter.add(part, exchange.common | {semconv.TOKEN_MODALITY: "unknown"}, exchange.context)


def _seconds(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(
        name, unit="s", description=description, explicit_bucket_boundaries_advisory=semconv.DURATION_BUCKETS
    )


def _token_histogram(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(
        name, unit="{token}", description=description, explicit_bucket_boundaries_advisory=semconv.TOKEN_BUCKETS
    )


def _token_counter(meter: Meter, name: str, description: str) -> Counter:
    return meter.create_counter(name, unit="{token}", description=description)


def _was_sent(attempt: AttemptFinished) -> bool:
    """A request that was refused on this side never became an operation; a connection that failed did."""
    refused_here = attempt.category in {ErrorCategory.INVALID_REQUEST, ErrorCategory.UNSUPPORTED}
    return not refused_here or attempt.status is not None
