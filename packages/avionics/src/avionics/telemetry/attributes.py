"""Records of a call as attributes of spans and metrics: pure, and without anything that was said by or to a model.

What is unknown is left out. The text of an error is left out too, because backends quote requests in it; its category,
status and machine code say what happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from opentelemetry.util.types import AttributeValue

from airframe.types import FinishReason, InferenceRequest, Usage
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted, UsageSource
from avionics.llm.spending import usage_source
from avionics.telemetry import semconv

__all__ = [
    "Attributes",
    "attempt_outcome",
    "attempt_target",
    "call_outcome",
    "call_request",
    "call_target",
    "error_type",
    "failure",
    "span_name",
    "token_counts",
]

Attributes = dict[str, AttributeValue]

_MACHINE_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


def span_name(model: str | None) -> str:
    """Such as `chat gpt-5`."""
    return f"{semconv.CHAT} {model}" if model else semconv.CHAT


def call_target(call: CallStarted) -> Attributes:
    """What a sampler may want to know before a call begins: where it goes."""
    return _target(call.provider, call.model, call.server_address, call.server_port) | {semconv.CALL_ID: call.call_id}


def call_request(call: CallStarted) -> Attributes:
    """How the model was asked."""
    request = call.request
    reasoning = request.reasoning
    return _known(
        {
            semconv.AGENT_NAME: call.agent_name,
            semconv.OUTPUT_TYPE: _output_type(request),
            semconv.REQUEST_TEMPERATURE: _float(request.temperature),
            semconv.REQUEST_TOP_P: _float(request.top_p),
            semconv.REQUEST_TOP_K: request.top_k,
            semconv.REQUEST_FREQUENCY_PENALTY: _float(request.frequency_penalty),
            semconv.REQUEST_PRESENCE_PENALTY: _float(request.presence_penalty),
            semconv.REQUEST_MAX_TOKENS: request.max_tokens,
            semconv.REQUEST_SEED: request.seed,
            semconv.REQUEST_STOP_SEQUENCES: tuple(request.stop) or None,
            semconv.REQUEST_STREAM: True if call.streamed else None,
            semconv.REQUEST_REASONING_LEVEL: reasoning.effort if reasoning else None,
        }
    )


def call_outcome(call: CallStarted, end: CallFinished) -> Attributes:
    """How a call ended. The usage and the cost are those of all its attempts."""
    answer = end.result or end.partial
    reported = end.result is not None and end.result.reported_cost is not None
    source = usage_source(end.attempts)
    attributes = _known(
        {
            semconv.CALL_OUTCOME: end.outcome,
            semconv.BACKEND: end.provider,
            semconv.RESPONSE_MODEL: answer.model if answer else None,
            semconv.RESPONSE_ID: answer.response_id if answer else None,
            semconv.RESPONSE_FINISH_REASONS: _finish_reasons(
                end.result.finish_reason if end.result else None,
                begun=answer is not None and bool(answer.content),
            ),
            semconv.RESPONSE_TIME_TO_FIRST_CHUNK: _float(end.time_to_first_event) if call.streamed else None,
            semconv.ERROR_TYPE: error_type(end),
        }
    )
    attributes |= _usage(end.usage, source) | _cost(end.cost_usd)
    if end.cost_usd is not None:
        attributes[semconv.USAGE_COST_SOURCE] = "provider" if reported else "local"
    return attributes


def attempt_target(attempt: AttemptFinished) -> Attributes:
    """Where an attempt went, and why it took place."""
    target = _target(attempt.provider, attempt.model, attempt.server_address, attempt.server_port)
    target[semconv.BACKEND] = attempt.provider
    target[semconv.ATTEMPT_NUMBER] = attempt.number
    if attempt.reason != "first":
        target[semconv.ATTEMPT_REASON] = attempt.reason
    return target


def attempt_outcome(call: CallStarted, attempt: AttemptFinished) -> Attributes:
    """How one attempt ended."""
    attributes = _known(
        {
            semconv.RESPONSE_MODEL: attempt.response_model,
            semconv.RESPONSE_ID: attempt.response_id,
            semconv.RESPONSE_FINISH_REASONS: _finish_reasons(attempt.finish_reason, begun=_broke_off(attempt)),
            semconv.RESPONSE_TIME_TO_FIRST_CHUNK: _float(attempt.time_to_first_event) if call.streamed else None,
            semconv.HTTP_RESPONSE_STATUS_CODE: attempt.status,
            semconv.ERROR_TYPE: error_type(attempt),
        }
    )
    return attributes | _usage(attempt.usage, attempt.usage_source) | _cost(attempt.cost_usd)


def error_type(record: AttemptFinished | CallFinished) -> str | None:
    """Our category; `cancelled` also for a stream that its reader left; None for a success."""
    if record.category is not None:
        return record.category.value
    match record:
        case CallFinished(outcome="cancelled" | "abandoned"):
            return semconv.CANCELLED
        case CallFinished(outcome="error"):
            return "_OTHER"
        case _:
            return None


def failure(record: AttemptFinished | CallFinished) -> str | None:
    """A short description of an error, such as `rate_limit 429 insufficient_quota`; None when nothing went wrong."""
    kind = error_type(record)
    if kind is None or kind == semconv.CANCELLED:
        return None
    status = record.status if isinstance(record, AttemptFinished) else None
    code = record.error_code if record.error_code and _MACHINE_CODE.fullmatch(record.error_code) else None
    return " ".join(str(word) for word in (kind, status, code) if word is not None)


def token_counts(usage: Usage) -> Iterator[tuple[str, int]]:
    """The kinds of token that are counted in metrics, and how many there were."""
    if usage.input_tokens is not None:
        yield "input", usage.input_tokens
    if usage.output_tokens is not None:
        yield "output", usage.output_tokens


def _target(provider: str, model: str | None, address: str | None, port: int | None) -> Attributes:
    return _known(
        {
            semconv.OPERATION_NAME: semconv.CHAT,
            semconv.PROVIDER_NAME: semconv.provider_name(provider),
            semconv.REQUEST_MODEL: model,
            semconv.SERVER_ADDRESS: address,
            semconv.SERVER_PORT: port,
        }
    )


def _usage(usage: Usage | None, source: UsageSource) -> Attributes:
    if usage is None:
        return {}
    if source != "reported":
        return {semconv.USAGE_SOURCE: source}
    return _known(
        {
            semconv.USAGE_SOURCE: source,
            semconv.USAGE_INPUT_TOKENS: usage.input_tokens,
            semconv.USAGE_OUTPUT_TOKENS: usage.output_tokens,
            # The conventions want these subsets left out when they are empty.
            semconv.USAGE_CACHE_READ_TOKENS: usage.cache_read_tokens or None,
            semconv.USAGE_CACHE_CREATION_TOKENS: usage.cache_write_tokens or None,
            semconv.USAGE_CACHE_WRITE_TOKENS: usage.cache_write_tokens or None,
            semconv.USAGE_REASONING_TOKENS: usage.reasoning_tokens or None,
            semconv.USAGE_AUDIO_INPUT_TOKENS: usage.input_audio_tokens or None,
            semconv.USAGE_AUDIO_OUTPUT_TOKENS: usage.output_audio_tokens or None,
        }
    )


def _cost(cost_usd: Decimal | None) -> Attributes:
    if cost_usd is None:
        return {}
    return {semconv.USAGE_COST_AMOUNT: float(cost_usd), semconv.USAGE_COST_CURRENCY: semconv.USD}


def _broke_off(attempt: AttemptFinished) -> bool:
    """Whether an answer had begun that did not end: of such tokens are counted or estimated, else there are none."""
    return attempt.category is not None and attempt.usage_source != "unknown"


def _finish_reasons(reason: FinishReason | None, *, begun: bool) -> tuple[str, ...] | None:
    if reason is not None:
        return (semconv.FINISH_REASONS[reason],)
    return (semconv.UNFINISHED,) if begun else None


def _output_type(request: InferenceRequest) -> str | None:
    match request.response_format:
        case None:
            return None
        case "text":
            return "text"
        case _:
            return "json"


def _float(value: float | None) -> float | None:
    """The conventions say double; callers write `temperature=0`."""
    return None if value is None else float(value)


def _known(attributes: dict[str, AttributeValue | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
