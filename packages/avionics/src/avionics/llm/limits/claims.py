"""What a demand wants of each counter that it touches. Plain values, in whole numbers: moments and durations are
microseconds, money is nano-USD, so that every store counts the same to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["MINUTE", "BudgetClaim", "Claim", "RateClaim", "SlotClaim", "Standing"]

MINUTE = 60_000_000
"""In microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateClaim:
    """So many units of an allowance that flows in at `per_minute`, of which at most `capacity` are there at once."""

    key: str
    amount: int
    per_minute: int
    capacity: int

    def duration(self, units: int) -> int:
        """How long it takes until so many units have flowed in. Rounded down, so that `capacity` units always fit."""
        return units * MINUTE // self.per_minute


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotClaim:
    """One of so many slots, until it is given back."""

    key: str
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetClaim:
    """So many units of a budget that ends at a moment; None is never."""

    key: str
    amount: int
    budget: int
    ends_at: int | None


Claim: TypeAlias = RateClaim | SlotClaim | BudgetClaim


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a counter stands: of a rate, when its allowance is whole again; of slots, how many are taken; of a budget,
    what is spent, and what is reserved for calls that are under way.
    """

    whole_at: int = 0
    taken: int = 0
    spent: int = 0
    reserved: int = 0
