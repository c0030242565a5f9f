"""What is to be told to the limits, once somebody can wait for them.

Attempts also end where nobody can wait: when a stream is collected as garbage, when a task is cancelled. What they used
is put down here, and told at the next occasion.
"""

from __future__ import annotations

from collections import deque

import anyio

from avionics.llm.limits import Reservation
from avionics.llm.limits.reservation import Used

__all__ = ["Settlements"]


class Settlements:
    """A queue of reservations that have come to their end."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Reservation, Used | None]] = deque()

    def put(self, reservation: Reservation, spent: Used | None) -> None:
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
