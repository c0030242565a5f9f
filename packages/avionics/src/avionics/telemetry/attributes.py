"""Records of a call as attributes of spans, events and metrics: pure, and without anything that was said by or to a
model.

What is unknown is left out. The text of an error is left out too, because backends quote requests in it; its category,
status and machine code say what happened.

A field of a record that becomes an attribute as it is stands in one of the tables: a new one is a line there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from opentelemetry.util.types import AttributeValue

from airframe.types import FinishReason, InferenceRequest
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.llm.spending import usage_source
from avionics.telemetry import semconv
from avionics.telemetry.usage import UsageNames, usage_attributes

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
]

Attributes = dict[str, AttributeValue]

_OF_CALL: Mapping[str, str] = {
    "agent_name": semconv.AGENT_NAME,
    "conversation_id": semconv.CONVERSATION_ID,
    "tenant": semconv.TENANT,
    "session_id": semconv.SESSION_ID,
    "route": semconv.ROUTE,
    "variant": semconv.VARIANT,
}
_OF_END: Mapping[str, str] = {
    "outcome": semconv.CALL_OUTCOME,
    "provider": semconv.BACKEND,
    "deployment": semconv.DEPLOYMENT,
    "cache": semconv.CACHE_RESULT,
    "saved_usd": semconv.CACHE_SAVED,
}
_OF_ATTEMPT: Mapping[str, str] = {
    "provider": semconv.BACKEND,
    "deployment": semconv.DEPLOYMENT,
    "number": semconv.ATTEMPT_NUMBER,
    "response_model": semconv.RESPONSE_MODEL,
    "response_id": semconv.RESPONSE_ID,
    "status": semconv.HTTP_RESPONSE_STATUS_CODE,
}
_OF_REQUEST: Mapping[str, str] = {
    "top_k": semconv.REQUEST_TOP_K,
    "max_tokens": semconv.REQUEST_MAX_TOKENS,
    "seed": semconv.REQUEST_SEED,
    "stop": semconv.REQUEST_STOP_SEQUENCES,
    "previous_response_id": semconv.REQUEST_PREVIOUS_RESPONSE_ID,
}
_DOUBLES_OF_REQUEST: Mapping[str, str] = {
    "temperature": semconv.REQUEST_TEMPERATURE,
    "top_p": semconv.REQUEST_TOP_P,
    "frequency_penalty": semconv.REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": semconv.REQUEST_PRESENCE_PENALTY,
}

_NOTHING: tuple[object, ...] = ((), [])

_MACHINE_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


def span_name(model: str | None) -> str:
    """Such as `chat gpt-5`."""
    return f"{semconv.CHAT} {model}" if model else semconv.CHAT


def call_target(call: CallStarted) -> Attributes:
    """What a sampler may want to know before a call begins: where it goes."""
    target = _target(call)
    target[semconv.CALL_ID] = call.call_id
    return target


def call_request(call: CallStarted) -> Attributes:
    """For whom the model was asked, and how."""
    request = call.request
    attributes = _told(call, _OF_CALL)
    attributes |= _told(request, _OF_REQUEST)
    # The conventions say double; callers write `temperature=0`.
    for field, name in _DOUBLES_OF_REQUEST.items():
        value = getattr(request, field)
        if value is not None:
            attributes[name] = float(value)
    if call.streamed:
        attributes[semconv.REQUEST_STREAM] = True
    if request.reasoning and request.reasoning.effort is not None:
        attributes[semconv.REQUEST_REASONING_LEVEL] = request.reasoning.effort
    if output_type := _output_type(request):
        attributes[semconv.OUTPUT_TYPE] = output_type
    if request.service_tier not in {None, "auto"} and _is_openai(call):
        attributes[semconv.OPENAI_REQUEST_SERVICE_TIER] = str(request.service_tier)
    return attributes


def call_outcome(call: CallStarted, end: CallFinished, usage_names: UsageNames) -> Attributes:
    """How a call ended. The usage and the cost are those of all its attempts."""
    answer = end.result or end.partial
    attributes = _told(end, _OF_END)
    if answer is not None:
        attributes |= _known(
            {
                semconv.RESPONSE_MODEL: answer.model,
                semconv.RESPONSE_ID: answer.response_id,
                semconv.OPENAI_RESPONSE_SERVICE_TIER: answer.service_tier if _is_openai(call) else None,
            }
        )
    reason = end.result.finish_reason if end.result else None
    _add_ending(attributes, reason, begun=answer is not None and bool(answer.content), error=error_type(end))
    if call.streamed and end.time_to_first_event is not None:
        attributes[semconv.RESPONSE_TIME_TO_FIRST_CHUNK] = float(end.time_to_first_event)
    attributes |= usage_attributes(end.usage, usage_source(end.attempts), usage_names)
    if end.cost_usd is not None:
        _add_cost(attributes, end.cost_usd)
        # An answer from the cache still says what the provider took for it then.
        reported = end.result is not None and end.result.reported_cost is not None and end.attempts
        attributes[semconv.USAGE_COST_SOURCE] = "provider" if reported else "local"
    return attributes


def attempt_target(attempt: AttemptFinished) -> Attributes:
    """Where an attempt went."""
    return _target(attempt)


def attempt_outcome(call: CallStarted, attempt: AttemptFinished, usage_names: UsageNames) -> Attributes:
    """Why an attempt took place, and how it ended."""
    attributes = _told(attempt, _OF_ATTEMPT)
    if attempt.reason != "first":
        attributes[semconv.ATTEMPT_REASON] = attempt.reason
    # Of an answer that broke off after it had begun, tokens are counted or estimated; else there are none.
    broke_off = attempt.category is not None and attempt.usage_source != "unknown"
    _add_ending(attributes, attempt.finish_reason, begun=broke_off, error=error_type(attempt))
    if call.streamed and attempt.time_to_first_event is not None:
        attributes[semconv.RESPONSE_TIME_TO_FIRST_CHUNK] = float(attempt.time_to_first_event)
    attributes |= usage_attributes(attempt.usage, attempt.usage_source, usage_names)
    if attempt.cost_usd is not None:
        _add_cost(attributes, attempt.cost_usd)
    return attributes


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


def _target(record: CallStarted | AttemptFinished) -> Attributes:
    target: Attributes = {
        semconv.OPERATION_NAME: semconv.CHAT,
        semconv.PROVIDER_NAME: semconv.provider_name(record.provider, record.kind),
    }
    if record.model is not None:
        target[semconv.REQUEST_MODEL] = record.model
    if record.server_address is not None:
        target[semconv.SERVER_ADDRESS] = record.server_address
    if record.server_port is not None:
        target[semconv.SERVER_PORT] = record.server_port
    return target


def _told(record: object, table: Mapping[str, str]) -> Attributes:
    """The fields of `table` that say something, under their names there."""
    attributes: Attributes = {}
    for field, name in table.items():
        value: AttributeValue | Decimal | None = getattr(record, field)
        if value is None or value in _NOTHING:
            continue
        attributes[name] = float(value) if isinstance(value, Decimal) else value
    return attributes


def _add_ending(attributes: Attributes, reason: FinishReason | None, *, begun: bool, error: str | None) -> None:
    if reason is not None:
        attributes[semconv.RESPONSE_FINISH_REASONS] = (semconv.FINISH_REASONS[reason],)
    elif begun:
        attributes[semconv.RESPONSE_FINISH_REASONS] = (semconv.UNFINISHED,)
    if error is not None:
        attributes[semconv.ERROR_TYPE] = error


def _add_cost(attributes: Attributes, cost_usd: Decimal) -> None:
    attributes[semconv.USAGE_COST_AMOUNT] = float(cost_usd)
    attributes[semconv.USAGE_COST_CURRENCY] = semconv.USD


def _output_type(request: InferenceRequest) -> str | None:
    match request.response_format:
        case None:
            return None
        case "text":
            return "text"
        case _:
            return "json"


def _is_openai(call: CallStarted) -> bool:
    return semconv.provider_name(call.provider, call.kind) == "openai"


def _known(attributes: dict[str, AttributeValue | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
