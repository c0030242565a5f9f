"""Results that wait to be read."""

from __future__ import annotations

from avionics.llm.batch.results import BatchResult

__all__ = ["Shelf"]


class Shelf:
    """Gives results out in the order of their requests, or as they came."""

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._results: dict[int, BatchResult] = {}
        self._given = 0

    def put(self, result: BatchResult) -> None:
        """A result is there."""
        self._results[result.index] = result

    def take(self) -> BatchResult | None:
        """The next one; None if it is not there yet."""
        index = self._given if self._ordered else next(iter(self._results), -1)
        result = self._results.pop(index, None)
        self._given += result is not None
        return result
