"""One call's turn at the cache: it has an answer, or the duty to say what became of asking for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Self

from airframe.types import InferenceResult
from avionics.llm.cache.cache_plan import CacheOutcome, CachePlan
from avionics.llm.cache.cached_answer import CachedAnswer
from avionics.llm.cache.eligibility import answer_obstacle
from avionics.llm.cache.kept_answers import KeptAnswers
from avionics.llm.cache.single_flight import SingleFlight

__all__ = ["CacheTurn"]


class CacheTurn:
    """One call's turn. As a context manager it is left at the end, if it was not before.

    Attributes:
        answer: what to give; None says to ask.
        outcome: what came of the cache.
    """

    def __init__(
        self,
        plan: CachePlan,
        kept: KeptAnswers | None = None,
        *,
        flights: SingleFlight[CachedAnswer] | None = None,
        answer: CachedAnswer | None = None,
        outcome: CacheOutcome = "none",
    ) -> None:
        self.answer = answer
        self.outcome: CacheOutcome = outcome
        self._plan = plan
        self._kept = kept
        self._flights = flights

    async def keep(
        self,
        result: InferenceResult,
        *,
        provider: str,
        model: str | None,
        pieces: Sequence[str] = (),
        cost_usd: Decimal | None = None,
    ) -> str | None:
        """Keep the answer that was asked for, and give it to those who wait; arguments as in `CachedAnswer`.

        What another provider answered, because the first one could not, is given to those who wait, and not kept: the
        next call shall have the first one's answer again. Gives the reason, in words, when it is not kept.
        """
        kept, key, ttl = self._kept, self._plan.key, self._plan.ttl
        if kept is None or key is None:
            return self._plan.reason or "the answer is kept already"
        reason = answer_obstacle(result, opted_in=self._plan.opted_in)
        if reason is not None:
            self._end(lambda flights: flights.disband(key))
            return reason
        answer = kept.stamped(result, ttl, provider=provider, model=model, pieces=pieces, cost_usd=cost_usd)
        try:
            if provider != self._plan.provider:
                return f"{provider} stood in for {self._plan.provider}"
            return await kept.write(key, answer, ttl)
        finally:
            self._end(lambda flights: flights.share(key, answer))

    def leave(self) -> None:
        """There is no answer to keep: another call may ask. Safe to call twice, at any time and from any thread."""
        key = self._plan.key
        if key is not None:
            self._end(lambda flights: flights.hand_over(key))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    def __del__(self) -> None:
        self.leave()

    def _end(self, how: Callable[[SingleFlight[CachedAnswer]], None]) -> None:
        flights, self._flights = self._flights, None
        if flights is not None:
            how(flights)
