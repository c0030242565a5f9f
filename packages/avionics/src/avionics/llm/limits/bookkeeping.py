"""The decisions about counters: whether claims are granted, and what is booked then and afterwards.

They are pure but for the ledger that they are given. The scripts for Redis, `take.lua` and `settle.lua`, say the same
in Redis's language; one suite of tests runs on all of them.

Rates are counted by the generic cell rate algorithm: a counter is the moment at which its allowance is whole again, and
a grant moves that moment by the time that its units take to flow in. So a counter is one number, nothing has to be
refilled, and the moment from which a claim can be granted is known exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from avionics.llm.limits.claims import MINUTE, BudgetClaim, Claim, RateClaim, SlotClaim, Standing

__all__ = ["LONGEST_DEBT", "Ledger", "Refusal", "granted_at", "settle", "standing_debt", "take"]

LONGEST_DEBT = 2 * MINUTE
"""What a call used beyond what it had said makes others wait for so long at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Which claims are not granted, by their place. `wait` is in how many microseconds they may be; None is unknown.

    A budget does not come back by waiting, so claims on budgets are named alone.
    """

    places: tuple[int, ...]
    of_budget: bool = False
    wait: int | None = None


class Ledger(Protocol):
    """Counters by key, in one transaction."""

    def read(self, key: str) -> Standing:
        """How a counter stands; one that is not there stands at zero. Slots whose lease has ended are not taken."""
        ...

    def write(self, key: str, standing: Standing, ends_at: int | None) -> None:
        """Set a rate or a budget. It may be forgotten some time after `ends_at`; None is never."""
        ...

    def occupy(self, key: str) -> None:
        """Take one slot for the holder."""
        ...

    def vacate(self, key: str) -> None:
        """Give the holder's slot back, if it has one."""
        ...


def take(ledger: Ledger, claims: Sequence[Claim], now: int) -> Refusal | None:
    """Book all claims, or none. None is granted."""
    standings = [ledger.read(claim.key) for claim in claims]
    if refusal := _refusal(claims, standings, now):
        return refusal
    for claim, standing in zip(claims, standings, strict=True):
        match claim:
            case RateClaim():
                whole_at = standing_debt(standing.whole_at, now) + claim.duration(claim.amount)
                ledger.write(claim.key, Standing(whole_at=whole_at), whole_at)
            case BudgetClaim():
                booked = Standing(spent=standing.spent, reserved=standing.reserved + claim.amount)
                ledger.write(claim.key, booked, claim.ends_at)
            case SlotClaim():
                ledger.occupy(claim.key)
    return None


def settle(ledger: Ledger, claims: Sequence[Claim], used: Sequence[int], *, taken_at: int, now: int) -> None:
    """Book what was used in place of what was claimed; slots are given back.

    Units of a rate that were not used are given back within the minute: after that they would have flowed in anyway.
    """
    for claim, units in zip(claims, used, strict=True):
        match claim:
            case RateClaim():
                more = claim.duration(units) - claim.duration(claim.amount)
                if more > 0 or now - taken_at < MINUTE:
                    standing = ledger.read(claim.key)
                    whole_at = min(standing_debt(standing.whole_at, now) + more, now + LONGEST_DEBT)
                    ledger.write(claim.key, Standing(whole_at=whole_at), whole_at)
            case BudgetClaim():
                standing = ledger.read(claim.key)
                reserved = max(0, standing.reserved - claim.amount)
                ledger.write(claim.key, Standing(spent=standing.spent + units, reserved=reserved), claim.ends_at)
            case SlotClaim():
                ledger.vacate(claim.key)


def granted_at(claim: RateClaim, whole_at: int, now: int) -> int:
    """The moment from which a claim on a rate can be granted; it may be past."""
    return standing_debt(whole_at, now) + claim.duration(claim.amount) - claim.duration(claim.capacity)


def standing_debt(whole_at: int, now: int) -> int:
    """When an allowance is whole again. One that owes more than it can was counted before a clock was put back: now."""
    return whole_at if now < whole_at <= now + LONGEST_DEBT else now


def _refusal(claims: Sequence[Claim], standings: Sequence[Standing], now: int) -> Refusal | None:
    places: list[int] = []
    budgets: list[int] = []
    moments: list[int] = []
    for place, (claim, standing) in enumerate(zip(claims, standings, strict=True)):
        match claim:
            case RateClaim():
                if (moment := granted_at(claim, standing.whole_at, now)) > now:
                    places.append(place)
                    moments.append(moment)
            case SlotClaim():
                if standing.taken >= claim.slots:
                    places.append(place)
            case BudgetClaim():
                if claim.amount and standing.spent + standing.reserved + claim.amount > claim.budget:
                    budgets.append(place)
    if budgets:
        return Refusal(places=tuple(budgets), of_budget=True)
    if places:
        return Refusal(places=tuple(places), wait=max(moments) - now if moments else None)
    return None
