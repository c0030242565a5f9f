"""What is to be told to the limits, once somebody can wait for them.

Attempts also end where nobody can wait: when a stream is collected as garbage, when a task is cancelled. What they used
is put down here, and told at the next occasion.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal

import anyio

from avionics.llm.limits import Reservation

__all__ = ["Settlements", "Spent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What an exchange used; None is unknown."""

    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None


class Settlements:
    """A queue of reservations that have come to their end."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Reservation, Spent | None]] = deque()

    def put(self, reservation: Reservation, spent: Spent | None) -> None:
        """The end of a reservation; without `spent` nothing was billed. Safe to call from anywhere."""
        self._waiting.append((reservation, spent))

    async def carry_out(self) -> None:
        """Tell the limits. Not to be cancelled: what was spent is spent."""
        if not self._waiting:
            return
        with anyio.CancelScope(shield=True):
            while self._waiting:
                reservation, spent = self._waiting.popleft()
                if spent is None:
                    await reservation.release()
                else:
                    await reservation.settle(
                        input_tokens=spent.input_tokens, output_tokens=spent.output_tokens, cost_usd=spent.cost_usd
                    )
