"""The metrics of the profile `classic`: what each attempt took, used and cost.

They are recorded once for each attempt at which something was sent, and never for the call as a whole, so nothing
counts twice. Totals for billing come from the records themselves: a histogram is for percentiles.
"""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.metrics import Meter

from airframe.errors import ErrorCategory
from avionics.llm.records import AttemptFinished
from avionics.telemetry import semconv
from avionics.telemetry.attributes import Attributes, attempt_target, error_type, token_counts

__all__ = ["ClassicMetrics"]

_TARGET = (
    semconv.OPERATION_NAME,
    semconv.PROVIDER_NAME,
    semconv.REQUEST_MODEL,
    semconv.SERVER_ADDRESS,
    semconv.SERVER_PORT,
)


class ClassicMetrics:
    """The instruments of one meter."""

    def __init__(self, meter: Meter) -> None:
        self._duration = meter.create_histogram(
            semconv.OPERATION_DURATION,
            unit="s",
            description="Duration of an exchange with a model",
            explicit_bucket_boundaries_advisory=semconv.DURATION_BUCKETS,
        )
        self._time_to_first_chunk = meter.create_histogram(
            semconv.TIME_TO_FIRST_CHUNK,
            unit="s",
            description="Time from the request to the first chunk of a streamed answer",
            explicit_bucket_boundaries_advisory=semconv.DURATION_BUCKETS,
        )
        self._tokens = meter.create_histogram(
            semconv.TOKEN_USAGE,
            unit="{token}",
            description="Tokens of an exchange, as the backend counted them",
            explicit_bucket_boundaries_advisory=semconv.TOKEN_BUCKETS,
        )
        self._cost = meter.create_counter(
            semconv.COST, unit="USD", description="Cost of exchanges whose price is known"
        )

    def record(self, attempt: AttemptFinished, *, streamed: bool, context: Context) -> None:
        """Count one attempt. `context` holds its span, to which exemplars point."""
        if not _was_sent(attempt):
            return
        target = attempt_target(attempt)
        common: Attributes = {name: target[name] for name in _TARGET if name in target}
        if attempt.response_model is not None:
            common[semconv.RESPONSE_MODEL] = attempt.response_model
        kind = error_type(attempt)
        timed = common if kind is None else common | {semconv.ERROR_TYPE: kind}
        self._duration.record(attempt.duration, timed, context=context)
        if streamed and attempt.time_to_first_event is not None:
            self._time_to_first_chunk.record(attempt.time_to_first_event, timed, context=context)
        if attempt.usage is not None and attempt.usage_source == "reported":
            for token_type, count in token_counts(attempt.usage):
                self._tokens.record(count, common | {semconv.TOKEN_TYPE: token_type}, context=context)
        if attempt.cost_usd is not None:
            self._cost.add(float(attempt.cost_usd), common, context=context)


def _was_sent(attempt: AttemptFinished) -> bool:
    """A request that was refused on this side never became an operation; a connection that failed did."""
    refused_here = attempt.category in {ErrorCategory.INVALID_REQUEST, ErrorCategory.UNSUPPORTED}
    return not refused_here or attempt.status is not None
