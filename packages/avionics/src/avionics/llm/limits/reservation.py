"""What is held for a call, until it is known what the call used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Self

from avionics.llm.limits.demand import Demand
from avionics.llm.limits.rules import Entry, Rule, nano_of
from avionics.llm.limits.store import Ticket

__all__ = ["Held", "Reservation", "Used"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a call used; None is unknown."""

    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What was granted for a demand, by which rules."""

    demand: Demand
    entries: Sequence[Entry]
    ticket: Ticket

    def used(self, used: Used) -> Sequence[int]:
        """So many units of each claim. What is unknown counts as much as was demanded."""
        return [self._units(entry, used) for entry in self.entries]

    def _units(self, entry: Entry, used: Used) -> int:
        match entry.rule.unit:
            case "tokens":
                input_tokens = self.demand.input_tokens if used.input_tokens is None else used.input_tokens
                output_tokens = self.demand.output_tokens if used.output_tokens is None else used.output_tokens
                return input_tokens + output_tokens
            case "usd":
                cost = self.demand.cost_usd if used.cost_usd is None else used.cost_usd
                return 0 if cost is None else nano_of(cost)
            case _:
                return 1


class Reservation:
    """What is held for a call. End it by `settle` or `release`; the first of them counts, and it may be cancelled.

    As a context manager it is settled at the end, when nobody did so, with all that was reserved. One that is dropped
    without an end stays counted at what was reserved, and frees its slot: at once in this process, within a minute in a
    store that others share.
    """

    __slots__ = ("_end", "_held", "rules")

    def __init__(self, held: Held | None, end: Callable[[Held, Sequence[int]], Awaitable[None]]) -> None:
        self._held = held
        self._end = end
        self.rules: Sequence[Rule] = [entry.rule for entry in held.entries] if held else []
        """The rules that have counted it."""

    def covers(self, demand: Demand) -> Sequence[Rule]:
        """The rules that need not count a part of the call again: those in USD only where its price is known."""
        return [rule for rule in self.rules if rule.unit != "usd" or demand.cost_usd is not None]

    async def settle(self, *, input_tokens: int | None, output_tokens: int | None, cost_usd: Decimal | None) -> None:
        """What was used takes the place of what was reserved; what is unknown (None) stays counted as reserved."""
        if held := self._take():
            used = Used(input_tokens=input_tokens, output_tokens=output_tokens, cost_usd=cost_usd)
            await self._end(held, held.used(used))

    async def release(self) -> None:
        """Nothing was billed, that is certain: as if the call had never been."""
        if held := self._take():
            await self._end(held, [0] * len(held.entries))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.settle(input_tokens=None, output_tokens=None, cost_usd=None)

    def _take(self) -> Held | None:
        held, self._held = self._held, None
        return held
