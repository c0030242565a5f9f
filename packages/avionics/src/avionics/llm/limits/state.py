"""How limits stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from avionics.llm.limits.bookkeeping import standing_debt
from avionics.llm.limits.claims import MINUTE, BudgetClaim, RateClaim, SlotClaim, Standing
from avionics.llm.limits.learned import LearnedLimit
from avionics.llm.limits.microseconds import seconds
from avionics.llm.limits.rules import Entry, Unit

__all__ = ["LimitState", "learned_state", "state_of"]

_NANO = Decimal(10) ** 9


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitState:
    """One limit, for those whose calls it counts together.

    `place` is where it stands in the settings; `learned` for what a provider said of its own limit. `limit` is what it
    allows, `left` what is left of it now; `reserved` is held for calls that are under way. All are in `unit`: whole
    numbers, or USD. `spent` is None for rates, which flow back. `renews_at` is when it is whole again; None is never,
    and for slots whenever a call ends.
    """

    place: str
    words: str
    subject: str
    unit: Unit
    limit: Decimal | int | None
    left: Decimal | int
    spent: Decimal | int | None = None
    reserved: Decimal | int = 0
    renews_at: datetime | None = None
    waiting: int = 0


def state_of(entry: Entry, standing: Standing, *, now: int, waiting: int) -> LimitState:
    """How the limit stands that counts the entry."""
    match entry.claim:
        case RateClaim() as claim:
            return _rate(entry, claim, standing, now, waiting)
        case SlotClaim(slots=slots):
            return _state(
                entry, limit=slots, left=max(0, slots - standing.taken), reserved=standing.taken, waiting=waiting
            )
        case BudgetClaim(budget=budget):
            return _state(
                entry,
                limit=budget,
                left=budget - standing.spent - standing.reserved,
                spent=standing.spent,
                reserved=standing.reserved,
                renews_at=entry.ends_at,
            )


def learned_state(limit: LearnedLimit, subject: str) -> LimitState:
    """What a provider said of its own limit."""
    return LimitState(
        place="learned",
        words="the provider's own limit",
        subject=subject,
        unit=limit.unit,
        limit=None,
        left=limit.remaining,
        renews_at=datetime.fromtimestamp(limit.resets_at, UTC),
    )


def _rate(entry: Entry, claim: RateClaim, standing: Standing, now: int, waiting: int) -> LimitState:
    whole_at = standing_debt(standing.whole_at, now)
    owed = whole_at - now
    left = max(0, (claim.duration(claim.capacity) - owed) * claim.per_minute // MINUTE)
    renews_at = datetime.fromtimestamp(seconds(whole_at), UTC)
    return _state(entry, limit=claim.per_minute, left=left, renews_at=renews_at, waiting=waiting)


def _state(
    entry: Entry,
    *,
    limit: int,
    left: int,
    spent: int | None = None,
    reserved: int = 0,
    renews_at: datetime | None = None,
    waiting: int = 0,
) -> LimitState:
    figures: Mapping[str, Decimal | int | None] = {"limit": limit, "left": left, "spent": spent, "reserved": reserved}
    if entry.rule.unit == "usd":
        figures = {name: None if figure is None else figure / _NANO for name, figure in figures.items()}
    return LimitState(
        place=entry.rule.place,
        words=entry.rule.words,
        subject=entry.subject,
        unit=entry.rule.unit,
        limit=figures["limit"],
        left=figures["left"] or 0,
        spent=figures["spent"],
        reserved=figures["reserved"] or 0,
        renews_at=renews_at,
        waiting=waiting,
    )
