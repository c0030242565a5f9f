"""A line in the log for each call: what it was and how it ended, and nothing of what was said."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from typing_extensions import override

from airframe.types import InferenceResult
from avionics.errors import LLMError
from avionics.llm.middleware.call_context import CallContext
from avionics.llm.middleware.middleware import FailurePolicy, Middleware

__all__ = ["LogCalls"]


class LogCalls(Middleware):
    """Logs the end of each call. The fields stand in the line as `name=value`, and in the record as the mapping `call`.

    Cancelled calls and streams that were left are not logged: for those, and for all that is known of attempts, there
    are observers and the call log.

    Args:
        logger: None is the logger of this module.
        level: of answers; failures are warnings.
        clock: seconds.
    """

    on_failure: FailurePolicy = "skip"

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        level: int = logging.INFO,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._logger = logger or logging.getLogger(__name__)
        self._level = level
        self._clock = clock

    @override
    async def before_invoke(self, call: CallContext, /) -> None:
        call.state[self] = self._clock()

    @override
    async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> None:
        answer: dict[str, object] = {
            "model": result.model,
            "finish_reason": None if result.finish_reason is None else str(result.finish_reason),
            "input_tokens": result.usage.input_tokens,
            "output_tokens": result.usage.output_tokens,
            "tool_calls": len(result.tool_calls),
        }
        self._log(self._level, "answered", call, answer)

    @override
    async def invoke_failed(self, call: CallContext, error: Exception, /) -> None:
        failure: dict[str, object] = {"error": type(error).__name__}
        if isinstance(error, LLMError):
            failure |= {"category": str(error.category), "status": error.status, "provider": error.provider}
        self._log(logging.WARNING, "failed", call, failure)

    def _log(self, level: int, what: str, call: CallContext, more: Mapping[str, object]) -> None:
        started = call.state[self]
        assert isinstance(started, float)
        told: dict[str, object] = {
            "call_id": call.call_id,
            "agent_name": call.agent_name,
            "tenant": call.tenant,
            "conversation_id": call.conversation_id,
            "streamed": call.streamed,
            "seconds": round(self._clock() - started, 6),
            **more,
        }
        known = {name: value for name, value in told.items() if value is not None}
        line = " ".join(f"{name}={value}" for name, value in known.items())
        self._logger.log(level, "call %s: %s", what, line, extra={"call": known})
