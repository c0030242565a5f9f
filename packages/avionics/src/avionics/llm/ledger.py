"""The ledger of one call: its exchanges as they end, what each cost, and their sums."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from airframe.types import Usage
from avionics.llm.cost_calculator import CostCalculator, Terms
from avionics.llm.observation import FaultLog
from avionics.llm.records import AttemptFinished, CallObservation, UsageSource
from avionics.llm.spending import Cost, attempt_cost, cost_range, total_cost, total_usage, usage_source
from avionics.llm.usage_estimate import Consumption

__all__ = ["Ledger"]


class Ledger:
    """Keeps what `open_attempt.OpenAttempt` writes down, in the order in which the exchanges ended."""

    def __init__(self, prices: CostCalculator, faults: FaultLog) -> None:
        self.observation: CallObservation | None = None
        """Who is told of every entry; None until the call has begun."""
        self._prices = prices
        self._faults = faults
        self._entries: list[AttemptFinished] = []

    @property
    def entries(self) -> tuple[AttemptFinished, ...]:
        """Every exchange that has ended."""
        return tuple(self._entries)

    @property
    def next_number(self) -> int:
        """The number of the exchange that ends next; they count from 1."""
        return len(self._entries) + 1

    def price(
        self,
        provider: str,
        models: Iterable[str | None],
        consumption: Consumption,
        *,
        reported: Decimal | None,
        terms: Terms,
    ) -> Cost:
        """What an exchange cost; unknown where the prices cannot say or fail."""
        cost = self._faults.contained(
            "cost_calculator",
            attempt_cost,
            self._prices,
            provider,
            models,
            consumption,
            reported=reported,
            terms=terms,
        )
        return cost or Cost()

    def note(self, entry: AttemptFinished) -> None:
        """An exchange is over."""
        self._entries.append(entry)
        if self.observation is not None:
            self.observation.attempt_finished(entry)

    def usage(self) -> Usage | None:
        """The tokens of all exchanges; None when none is known to have used any."""
        return total_usage(self._entries)

    def usage_source(self) -> UsageSource:
        """Who counted them."""
        return usage_source(self._entries)

    def cost(self) -> Decimal | None:
        """The cost of all exchanges in USD; None when a part of it is unknown."""
        return total_cost(self._entries)

    def cost_range(self) -> tuple[Decimal | None, Decimal | None]:
        """The least and the most that it may be."""
        return cost_range(self._entries)
