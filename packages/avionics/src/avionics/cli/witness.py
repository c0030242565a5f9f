"""An observer that keeps the records of the last call, for a command to tell of it."""

from __future__ import annotations

from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallStarted

__all__ = ["Witness"]


class Witness:
    """A `CallObserver` for one call at a time. `end` is None until a call has ended."""

    def __init__(self) -> None:
        self.call: CallStarted | None = None
        self.end: CallFinished | None = None

    def call_started(self, call: CallStarted) -> CallObservation:
        """Remembers the call."""
        self.call, self.end = call, None
        return self

    def attempt_finished(self, _attempt: AttemptFinished) -> None:
        """The end lists all attempts."""

    def call_finished(self, end: CallFinished) -> None:
        """Remembers the end."""
        self.end = end
