"""Calls as lines of Python's `logging`, with their facts as fields of the record. Nothing that was said is in them."""

from __future__ import annotations

import logging
from typing import Final

from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallStarted
from avionics.telemetry.attributes import error_type, failure

__all__ = ["CallLogger"]

_NANOSECONDS: Final = 1_000_000_000

_logger: Final = logging.getLogger("avionics.call")


class CallLogger:
    """A `CallObserver` that logs each call at INFO and each attempt at DEBUG, on the logger `avionics.call`.

    An error is no warning here: the caller gets it raised, and knows how bad it is.

    Fields of both records: `call_id`, `provider`, `model`, `deployment`, `error_type`, `duration` (seconds),
    `input_tokens`, `output_tokens`, `cost_usd` (`Decimal`). Of a call also `outcome`, `attempts`, `cache`,
    `agent_name`, `tenant`, `conversation_id`, `streamed` and `time_to_first_event`; of an attempt `attempt`, `reason`
    and `status`. None is unknown.
    """

    def call_started(self, call: CallStarted) -> CallObservation:
        """Nothing is logged before the end."""
        return _Observation(call)


class _Observation:
    def __init__(self, call: CallStarted) -> None:
        self._call = call

    def attempt_finished(self, attempt: AttemptFinished) -> None:
        if not _logger.isEnabledFor(logging.DEBUG):
            return
        _logger.debug(
            "call %s: attempt %d (%s) at %s %s: %s after %.3f s",
            self._call.call_id,
            attempt.number,
            attempt.reason,
            attempt.provider,
            attempt.model,
            failure(attempt) or error_type(attempt) or "success",
            attempt.duration,
            extra={
                "call_id": self._call.call_id,
                "attempt": attempt.number,
                "reason": attempt.reason,
                "status": attempt.status,
                "duration": attempt.duration,
                **_facts(attempt),
            },
        )

    def call_finished(self, end: CallFinished) -> None:
        if not _logger.isEnabledFor(logging.INFO):
            return
        call = self._call
        duration = (end.ended_at_ns - call.started_at_ns) / _NANOSECONDS
        _logger.info(
            "call %s: %s by %s %s after %.3f s, attempts: %d",
            call.call_id,
            failure(end) or end.outcome,
            end.provider,
            end.model,
            duration,
            len(end.attempts),
            extra={
                "call_id": call.call_id,
                "outcome": end.outcome,
                "attempts": len(end.attempts),
                "cache": end.cache,
                "agent_name": call.agent_name,
                "tenant": call.tenant,
                "conversation_id": call.conversation_id,
                "streamed": call.streamed,
                "duration": duration,
                "time_to_first_event": end.time_to_first_event,
                **_facts(end),
            },
        )


def _facts(record: AttemptFinished | CallFinished) -> dict[str, object]:
    return {
        "provider": record.provider,
        "model": record.model,
        "deployment": record.deployment,
        "error_type": error_type(record),
        "input_tokens": record.usage.input_tokens if record.usage else None,
        "output_tokens": record.usage.output_tokens if record.usage else None,
        "cost_usd": record.cost_usd,
    }
