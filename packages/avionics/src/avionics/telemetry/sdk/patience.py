"""How long the end of a program waits for a collector that does not answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Thread
from types import TracebackType

__all__ = ["Patience"]


class Patience:
    """A context manager around a shutdown: when it takes longer than `seconds`, what is under way is given up.

    Its thread waits from the beginning, because none can be started while a process ends.
    """

    def __init__(self, seconds: float, give_up: Sequence[Callable[[], None]]) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self._begun, self._over = Event(), Event()
        if give_up:
            Thread(target=self._watch, name="telemetry-patience", daemon=True).start()

    def __enter__(self) -> None:
        self._begun.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()

    def _watch(self) -> None:
        self._begun.wait()
        if not self._over.wait(self._seconds):
            for give_up in self._give_up:
                give_up()
