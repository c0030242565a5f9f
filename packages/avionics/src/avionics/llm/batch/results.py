"""What comes of many calls: a result for each, and how far they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from avionics.errors import LLMError
from avionics.llm.responses import LLMResponse

__all__ = ["BatchProgress", "BatchResult", "ProgressCallback", "ProgressTally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What came of one call: a response, or the error that `complete` would have raised; never both.

    Attributes:
        index: of the request, from 0 in the order in which they were given.
        id: the name that the request had; None without one.
    """

    index: int
    id: str | None = None
    response: LLMResponse | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """How far many calls are.

    Attributes:
        done: calls that are over.
        failed: those of them that failed.
        total: how many there will be; None where the requests have no length.
        cost_usd: the sum of the known costs, those of failed calls included.
        without_cost: calls that used tokens at an unknown price.
    """

    done: int = 0
    failed: int = 0
    total: int | None = None
    cost_usd: Decimal = Decimal(0)
    without_cost: int = 0


ProgressCallback: TypeAlias = Callable[[BatchProgress], None]


class ProgressTally:
    """Counts results. `told` is given the counts after each."""

    def __init__(self, total: int | None, told: ProgressCallback | None) -> None:
        self._told = told
        self._total = total
        self._done = self._failed = self._without_cost = 0
        self._cost = Decimal(0)

    def count(self, result: BatchResult) -> None:
        """A call is over."""
        self._done += 1
        self._failed += result.error is not None
        priced = result.response or (result.error if isinstance(result.error, LLMError) else None)
        if priced is not None and priced.cost_usd is not None:
            self._cost += priced.cost_usd
        elif priced is not None and priced.prompt_tokens is not None:
            self._without_cost += 1
        if self._told:
            self._told(self.progress())

    def progress(self) -> BatchProgress:
        """The counts so far."""
        return BatchProgress(
            done=self._done,
            failed=self._failed,
            total=self._total,
            cost_usd=self._cost,
            without_cost=self._without_cost,
        )
