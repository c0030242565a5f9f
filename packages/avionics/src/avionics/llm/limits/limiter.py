"""Rates and budgets in front of calls: reserve before, settle afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import anyio

from avionics.llm.limits.bookkeeping import Refusal
from avionics.llm.limits.budget_warnings import BudgetWarnings
from avionics.llm.limits.claims import Standing
from avionics.llm.limits.counting import Counting
from avionics.llm.limits.demand import Demand
from avionics.llm.limits.hindrance import (
    Hindrance,
    budget_error,
    by_learned,
    by_refusal,
    by_waiters,
    check_possible,
)
from avionics.llm.limits.learned import Learned
from avionics.llm.limits.line import Line, Waiter
from avionics.llm.limits.microseconds import Clock, microseconds
from avionics.llm.limits.open_store import open_store
from avionics.llm.limits.reservation import Held, Reservation
from avionics.llm.limits.rules import Entry, Rule, entries_for, rules_of
from avionics.llm.limits.state import LimitState, learned_state, state_of

if TYPE_CHECKING:
    from airframe.types import RateLimit
    from avionics.settings import Settings
    from avionics.settings.calls import LimitsSettings

__all__ = ["Limiter"]

_MOST_SEEN = 10_000


class Limiter:
    """Holds calls to the limits of the settings, and to what providers say of their own. For all tasks, event loops and
    threads of a process; close it when the last call has ended.

    It is false while it has nothing to say: no limit is stated, and no answer has spoken of one.
    """

    def __init__(
        self, settings: LimitsSettings, *, clock: Clock | None = None, logger: logging.Logger | None = None
    ) -> None:
        logger = logger or logging.getLogger(__name__)
        self._clock = clock or time.time
        self._rules = rules_of(settings)
        self._counting = Counting(
            open_store(settings, clock),
            on_failure=settings.on_store_failure,
            timeout=settings.store_timeout,
            rest=settings.store_rest,
            logger=logger,
        )
        self._store = self._counting.store
        self._learned = Learned(self._clock) if settings.learn else None
        self._line = Line()
        self._warnings = BudgetWarnings(logger)
        self._seen: dict[str, Demand] = {}

    @classmethod
    def from_settings(
        cls, settings: Settings, *, clock: Clock | None = None, logger: logging.Logger | None = None
    ) -> Self:
        """The limiter of the settings.

        Args:
            settings: of which `limits` counts.
            clock: Unix time, in seconds. None is this machine's, and for Redis the server's.
            logger: for a store that fails, and budgets that run low. None is that of this module.

        Raises `ConfigurationError` for limits that contradict each other, and for a store that cannot be had.
        """
        return cls(settings.limits, clock=clock, logger=logger)

    def __bool__(self) -> bool:
        return bool(self._rules or self._learned)

    async def reserve(
        self,
        demand: Demand,
        *,
        deadline: float | None = None,
        priority: int = 0,
        within: Reservation | None = None,
    ) -> Reservation:
        """Wait until there is room for a call, and hold it. All limits are taken together, or none.

        Args:
            demand: what it may use at the most.
            deadline: until when it may wait, as `anyio.current_time()`; the limits' `max_wait` holds too.
            priority: of those who wait, a higher one goes first; among equals, who came first.
            within: what is held for the call that this exchange is a part of; its rules do not count it again.

        Raises `BudgetExceededError` at once when a budget has too little left, `RateLimitExceededError` when there will
        be no room in time or too many wait already, `LimitsUnavailableError` when the store is down and the settings
        refuse calls then. Cancelled, it leaves no trace.
        """
        held = await self._held(demand, within.covers(demand) if within else (), deadline, priority)
        return Reservation(held, self._end)

    def learn(
        self, quota: str, model: str | None, rate_limit: RateLimit | None, retry_after: float | None = None
    ) -> None:
        """What a backend said of its own limits, in the headers of an answer or by refusing a call.

        `quota` and `model` are those of the demand. Pass `retry_after` (seconds) only for rate limits. It never makes a
        limit of the settings wider.
        """
        if self._learned is not None and (rate_limit or retry_after):
            self._learned.hear(quota, model, rate_limit, retry_after)
            self._line.wake([_learned_key(quota, model)])

    def state(self, demand: Demand | None = None) -> Sequence[LimitState]:
        """How limits stand: those that count the demand, or all under which a call was made in this process.

        Nobody is asked: of a store that others share, it is what was last heard.
        """
        demands = self._seen.copy().values() if demand is None else [demand]
        states: dict[str, LimitState] = {}
        for each in dict.fromkeys(demands):
            states |= self._states(each)
        return list(states.values())

    async def aclose(self) -> None:
        """Let go of the store. The limiter may be used again afterwards."""
        await self._counting.aclose()

    async def _held(
        self, demand: Demand, counted: Sequence[Rule], deadline: float | None, priority: int
    ) -> Held | None:
        started = anyio.current_time()
        waiter: Waiter | None = None
        try:
            while True:
                entries = entries_for(self._rules, demand, self._clock(), counted=counted)
                check_possible(entries, demand)
                if waiter:
                    waiter.listen()
                now = anyio.current_time()
                outcome = await self._try(demand, entries, priority, waiter)
                if not isinstance(outcome, Hindrance):
                    return outcome
                longest = _longest(outcome, demand, started, now, deadline)
                if waiter is None:
                    waiter = self._join(outcome, demand, entries, priority)
                elif waiter.waits_for == outcome.keys:
                    await waiter.sleep(longest)
                self._line.move(waiter, outcome.keys)  # and once more: room may have come before we waited for it
        finally:
            if waiter:
                self._line.leave(waiter)

    async def _try(
        self, demand: Demand, entries: Sequence[Entry], priority: int, waiter: Waiter | None
    ) -> Held | Hindrance | None:
        if hindrance := self._hindrance(demand, entries, priority, waiter):
            return hindrance
        outcome = await self._counting.take([entry.claim for entry in entries]) if entries else None
        if isinstance(outcome, Refusal):
            if outcome.of_budget:
                raise budget_error(outcome, entries, self._standings(entries), demand)
            return by_refusal(outcome, entries, is_shared=self._store.is_shared)
        if self._learned:
            self._learned.count(demand)
        if outcome is None:
            return None
        self._remember(demand, entries)
        return Held(demand=demand, entries=entries, ticket=outcome)

    def _hindrance(
        self, demand: Demand, entries: Sequence[Entry], priority: int, waiter: Waiter | None
    ) -> Hindrance | None:
        if first := self._line.in_the_way(self._counters(demand, entries), priority, waiter):
            return by_waiters(first, entries)
        if self._learned and (limit := self._learned.in_the_way(demand)):
            return by_learned(limit, _learned_key(demand.quota, demand.model), self._clock())
        return None

    def _join(self, hindrance: Hindrance, demand: Demand, entries: Sequence[Entry], priority: int) -> Waiter:
        if max(map(self._line.length, hindrance.keys)) >= hindrance.max_queue:
            raise hindrance.error(demand, f"{hindrance.max_queue} calls wait already")
        return self._line.join(self._counters(demand, entries), priority)

    async def _end(self, held: Held, used: Sequence[int]) -> None:
        try:
            await self._counting.settle(held.ticket, used)
        finally:
            self._line.wake([entry.claim.key for entry in held.entries])
        self._warnings.check(held.entries, self._standings(held.entries))

    def _counters(self, demand: Demand, entries: Sequence[Entry]) -> Sequence[str]:
        own = [entry.claim.key for entry in entries if entry.rule.rate]
        return [*own, _learned_key(demand.quota, demand.model)] if demand.provider else own

    def _standings(self, entries: Sequence[Entry]) -> Mapping[str, Standing]:
        return self._store.known([entry.claim.key for entry in entries])

    def _remember(self, demand: Demand, entries: Sequence[Entry]) -> None:
        self._warnings.check(entries, self._standings(entries))
        for entry in entries:
            self._seen.setdefault(entry.claim.key, demand)
        while len(self._seen) > _MOST_SEEN:
            self._seen.pop(next(iter(self._seen)))

    def _states(self, demand: Demand) -> Mapping[str, LimitState]:
        moment = self._clock()
        entries = entries_for(self._rules, demand, moment)
        standings = self._standings(entries)
        states = {
            entry.claim.key: state_of(
                entry,
                standings.get(entry.claim.key, Standing()),
                now=microseconds(moment),
                waiting=self._line.length(entry.claim.key),
            )
            for entry in entries
        }
        for limit in self._learned.limits(demand) if self._learned else ():
            key = f"{_learned_key(demand.quota, demand.model)}:{limit.unit}"
            states[key] = learned_state(limit, f"provider {demand.quota}, model {demand.model}")
        return states


def _longest(hindrance: Hindrance, demand: Demand, started: float, now: float, deadline: float | None) -> float:
    """For how many seconds to sleep. Raises `RateLimitExceededError` when there will be no room in time."""
    until = started + hindrance.max_wait
    if deadline is not None:
        until = min(until, deadline)
    left = until - now
    if left <= 0 or (hindrance.wait is not None and hindrance.wait > left):
        raise hindrance.error(demand, "no room in time")
    return min(left, hindrance.nap)


def _learned_key(quota: str | None, model: str | None) -> str:
    return f"learned:{quota}:{model}"
