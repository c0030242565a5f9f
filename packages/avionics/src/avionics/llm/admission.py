"""Leave to ask a deployment now, and the count of how it went: health, and places that are taken."""

from __future__ import annotations

from collections.abc import Callable

from airframe.errors import ErrorCategory
from airframe.types import InferenceRequest
from avionics.llm.call import Call
from avionics.llm.open_attempt import AttemptEnd
from avionics.llm.routing import Deployment, HealthBoard

__all__ = ["Admission"]


class Admission:
    """Keeps the board of a gateway's deployments."""

    def __init__(self, board: HealthBoard) -> None:
        self._board = board

    async def admit(
        self, call: Call, deployment: Deployment, request: InferenceRequest, *, deadline: float | None
    ) -> Callable[[AttemptEnd], None]:
        """Wait for leave; gives what is to be told when the attempt is over."""
        self._board.begin(deployment.name)
        return lambda end: self._note(deployment.name, end)

    def _note(self, name: str, end: AttemptEnd) -> None:
        record = end.record
        if record.category is None:
            tokens = record.usage.output_tokens if record.usage else None
            self._board.success(name, duration=record.duration, first_event=record.time_to_first_event, tokens=tokens)
        elif record.category is ErrorCategory.CANCELLED:
            self._board.left(name)
        else:
            self._board.failure(name, category=record.category, retry_after=end.retry_after)
