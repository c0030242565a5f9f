"""The resource callback: somebody else's word on whether a call may be made, and their count of what it used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from airframe.types import InferenceRequest
from avionics.errors import QuotaExceededError
from avionics.llm.observation import FaultLog
from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallStarted
from avionics.llm.requests import estimate_prompt_tokens

__all__ = ["QuotaGate", "ResourceCallback"]

ResourceCallback: TypeAlias = Callable[[int, int], str | None]
"""`(tokens_in, tokens_out) -> reason`; a reason means that the quota is exceeded, None that it is not."""


class QuotaGate:
    """Asks the callback before a call, with an estimate, and tells it afterwards what was used.

    Before a call `tokens_out` is the most that may be said, `max_tokens`, or 0 where the call sets no limit; a reason
    stops the call. Afterwards both are what the backend reported, or our estimate for a broken stream; a reason then
    is logged, because the answer is paid for and belongs to the caller. A callback that raises stops nothing.
    """

    def __init__(self, callback: ResourceCallback | None, faults: FaultLog, logger: logging.Logger) -> None:
        self.callback = callback
        self._faults = faults
        self._logger = logger

    def check(self, request: InferenceRequest) -> None:
        """Raises `QuotaExceededError` when the callback has a reason against the call."""
        if self.callback is None:
            return
        if reason := self._ask(estimate_prompt_tokens(request), request.max_tokens or 0):
            raise QuotaExceededError(f"the quota is exceeded, nothing was sent: {reason}")

    def call_started(self, _call: CallStarted) -> CallObservation:
        """Follows the call, to count what it uses."""
        return self

    def attempt_finished(self, _attempt: AttemptFinished) -> None:
        """The end of the call has the sum."""

    def call_finished(self, end: CallFinished) -> None:
        """Tells the callback what was used, if that is known."""
        if end.usage is None:
            return
        if reason := self._ask(end.usage.input_tokens or 0, end.usage.output_tokens or 0):
            self._logger.warning("the quota is exceeded by the call that just ended: %s", reason)

    def _ask(self, tokens_in: int, tokens_out: int) -> str | None:
        callback = self.callback
        if callback is None:
            return None
        return self._faults.contained("resource_callback", lambda: callback(tokens_in, tokens_out))
