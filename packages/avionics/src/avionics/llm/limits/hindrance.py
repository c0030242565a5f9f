"""What keeps a call from being made now: whether it may wait for that, and what it is told if not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from avionics.errors import BudgetExceededError, RateLimitExceededError
from avionics.llm.limits.bookkeeping import Refusal
from avionics.llm.limits.claims import BudgetClaim, RateClaim, Standing
from avionics.llm.limits.demand import Demand
from avionics.llm.limits.learned import LearnedLimit
from avionics.llm.limits.microseconds import seconds
from avionics.llm.limits.rules import Entry

__all__ = ["Hindrance", "budget_error", "by_learned", "by_refusal", "by_waiters", "check_possible"]

_NANO = Decimal(10) ** 9
_LEARNED_WAIT = 60.0  # seconds; as long as a backend may ask for a pause
_LEARNED_QUEUE = 1000
_ASK_AGAIN = 0.25  # seconds; nobody tells us of a slot that another process gives back
_LOOK_AGAIN = 1.0  # seconds; nobody tells us of one whose holder was dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """Which counters have no room. `words` name the limit.

    `wait` is when there may be room, in seconds; None is unknown. `max_wait` and `max_queue` are what the limit allows,
    and `nap` is after how many seconds to try again when nobody woke us.
    """

    keys: frozenset[str]
    words: str
    wait: float | None
    max_wait: float
    max_queue: int
    nap: float

    def error(self, demand: Demand, why: str) -> RateLimitExceededError:
        """What a call is told that cannot wait for it."""
        room = "" if self.wait is None else f"; there may be room in {self.wait:.3g} s"
        return RateLimitExceededError(
            f"{self.words}: {why}{room}; nothing was sent",
            limit=self.words,
            retry_after=self.wait,
            provider=demand.provider,
            model=demand.model,
        )


def check_possible(entries: Sequence[Entry], demand: Demand) -> None:
    """Raises `RateLimitExceededError` for a call that is larger than a whole rate, and `BudgetExceededError` for one of
    unknown price under a budget that refuses such.
    """
    for entry in entries:
        if isinstance(entry.claim, RateClaim) and entry.claim.amount > entry.claim.capacity:
            raise RateLimitExceededError(
                f"{_limit(entry)}: the call may need {entry.claim.amount} tokens, and never more than "
                f"{entry.claim.capacity} are there at once; nothing was sent. Lower its max_tokens, or raise the limit",
                limit=_limit(entry),
                provider=demand.provider,
                model=demand.model,
            )
        budget = entry.rule.budget
        if budget and entry.rule.unit == "usd" and demand.cost_usd is None and budget.unknown_price == "refuse":
            raise BudgetExceededError(
                f"{_limit(entry)}: what the call costs is not known; nothing was sent. State the price of "
                f"{demand.model or 'the model'} in prices, or let the budget have unknown_price: allow",
                limit=_limit(entry),
                renews_at=entry.ends_at,
                provider=demand.provider,
                model=demand.model,
            )


def by_refusal(refusal: Refusal, entries: Sequence[Entry], *, is_shared: bool) -> Hindrance:
    """Rates or slots had no room."""
    wait = None if refusal.wait is None else seconds(refusal.wait)
    refused = [entries[place] for place in refusal.places]
    has_slots = any(not isinstance(entry.claim, RateClaim) for entry in refused)
    nap = _ASK_AGAIN if is_shared else _LOOK_AGAIN
    return _of(refused, wait=wait, nap=wait if wait is not None and not has_slots else nap)


def by_waiters(keys: frozenset[str], entries: Sequence[Entry]) -> Hindrance:
    """Others wait for these counters, and come first. Whoever of them goes, wakes us."""
    waiting = [entry for entry in entries if entry.claim.key in keys]
    if not waiting:
        return _learned(keys, None)
    return _of(waiting, wait=None, nap=float("inf"))


def by_learned(limit: LearnedLimit, key: str, now: float) -> Hindrance:
    """The provider said that its own limit is reached."""
    return _learned(frozenset([key]), max(0.0, limit.resets_at - now))


def budget_error(
    refusal: Refusal, entries: Sequence[Entry], standings: Mapping[str, Standing], demand: Demand
) -> BudgetExceededError:
    """A budget has too little left."""
    entry = entries[refusal.places[0]]
    claim = entry.claim
    assert isinstance(claim, BudgetClaim)
    standing = standings.get(claim.key, Standing())
    left = max(0, claim.budget - standing.spent - standing.reserved)
    renewal = f"it is renewed at {entry.ends_at:%Y-%m-%d %H:%M} UTC" if entry.ends_at else "it is never renewed"
    return BudgetExceededError(
        f"{_limit(entry)}: the call may use {_in_words(claim.amount, entry)}, and {_in_words(left, entry)} are left; "
        f"{renewal}; nothing was sent",
        limit=_limit(entry),
        left=left / _NANO if entry.rule.unit == "usd" else left,
        renews_at=entry.ends_at,
        provider=demand.provider,
        model=demand.model,
    )


def _of(entries: Sequence[Entry], *, wait: float | None, nap: float) -> Hindrance:
    rates = [entry.rule.rate for entry in entries if entry.rule.rate]
    return Hindrance(
        keys=frozenset(entry.claim.key for entry in entries),
        words="; ".join(_limit(entry) for entry in entries),
        wait=wait,
        max_wait=min(rate.max_wait for rate in rates),
        max_queue=min(rate.max_queue for rate in rates),
        nap=nap,
    )


def _learned(keys: frozenset[str], wait: float | None) -> Hindrance:
    return Hindrance(
        keys=keys,
        words="the provider's own limit, as it said in its last answer",
        wait=wait,
        max_wait=_LEARNED_WAIT,
        max_queue=_LEARNED_QUEUE,
        nap=float("inf") if wait is None else wait,
    )


def _limit(entry: Entry) -> str:
    whose = f" for {entry.subject}" if entry.subject else ""
    return f"{entry.rule.place} ({entry.rule.words}{whose})"


def _in_words(amount: int, entry: Entry) -> str:
    return f"{(amount / _NANO).normalize():f} USD" if entry.rule.unit == "usd" else f"{amount} tokens"
