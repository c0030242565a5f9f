"""The response cache: what a model has answered is given again to who asks the same.

    plan ─> begin ─> the turn has an answer: give it
                  └> it has none: ask, then `keep` the answer; or `leave`

Nothing that goes wrong here fails a call: it is a miss, and reported once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from airframe.endpoints import EndpointSpec
from airframe.types import InferenceRequest
from avionics.errors import CacheMissError
from avionics.llm.cache.cache_key import UnfitValueError, cache_key
from avionics.llm.cache.cache_plan import CacheMode, CachePlan
from avionics.llm.cache.cache_turn import CacheTurn
from avionics.llm.cache.cached_answer import CachedAnswer
from avionics.llm.cache.eligibility import request_obstacle
from avionics.llm.cache.guarded_store import GuardedStore
from avionics.llm.cache.kept_answers import KeptAnswers
from avionics.llm.cache.open_store import open_store
from avionics.llm.cache.single_flight import SingleFlight
from avionics.llm.cache.store import CacheStore
from avionics.llm.observation import FaultLog
from avionics.settings import CacheSettings, Settings

__all__ = ["ResponseCache"]


class ResponseCache:
    """Keeps answers. False when it is off: then nobody has to ask it. Safe to share between tasks and threads.

    Args:
        store: where answers are; None keeps none.
        settings: what is kept, for how long.
        faults: is told of the first failure of the store; None logs it.
        clock: Unix seconds, for the age of answers.
    """

    def __init__(
        self,
        store: CacheStore | None,
        settings: CacheSettings | None = None,
        *,
        faults: FaultLog | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings = settings or CacheSettings()
        faults = faults or FaultLog(logging.getLogger(__name__))
        guarded = (
            None if store is None else GuardedStore(store, timeout=settings.timeout, rest=settings.rest, faults=faults)
        )
        self._kept = None if guarded is None else KeptAnswers(guarded, max_bytes=settings.max_entry_bytes, clock=clock)
        self._flights = SingleFlight[CachedAnswer]()

    @classmethod
    def from_settings(cls, settings: Settings, *, faults: FaultLog | None = None) -> Self:
        """The cache of the section `cache`. Raises `ConfigurationError` for a URL or a missing package."""
        return cls(open_store(settings.cache), settings.cache, faults=faults)

    def __bool__(self) -> bool:
        return self._kept is not None

    def plan(
        self,
        *,
        provider: str,
        endpoint: EndpointSpec,
        request: InferenceRequest,
        tenant: str | None = None,
        mode: CacheMode | None = None,
        ttl: float | None = None,
    ) -> CachePlan:
        """What a call wants of the cache, and why it gets nothing. Pure.

        Args:
            provider: who is asked first.
            endpoint: where that is.
            request: as that backend is asked, in the end.
            tenant: on whose behalf; one does not see what another one was answered.
            mode: what the call says; None is `use` where the request asks for the same answer each time.
            ttl: in seconds; None is the settings'.
        """
        opted_in = mode is not None and mode != "bypass"
        plan = CachePlan(
            provider=provider,
            key=None,
            mode=mode or "use",
            opted_in=opted_in,
            ttl=self._settings.ttl if ttl is None else ttl,
        )
        if not self:
            return replace(plan, reason="the cache is off: cache.backend names none")
        if mode == "bypass":
            return replace(plan, reason="the call bypasses the cache")
        model = request.model or endpoint.model
        reason = request_obstacle(request, model=model, opted_in=opted_in or self._settings.all)
        if reason is not None:
            return replace(plan, reason=reason)
        try:
            key = cache_key(provider=provider, endpoint=endpoint, request=request, tenant=tenant)
        except UnfitValueError as error:
            return replace(plan, reason=str(error))
        return replace(plan, key=key)

    async def begin(self, plan: CachePlan) -> CacheTurn:
        """The answer, or the turn to ask for it; may wait for another call that asks the same.

        Raises `CacheMissError` when the call may only be answered from here, and cannot be.
        """
        kept, key = self._kept, plan.key
        if kept is None or key is None:
            if plan.mode == "only":
                raise CacheMissError(f"the call asks for a kept answer only, and cannot have one: {plan.reason}")
            return CacheTurn(plan)
        if plan.mode == "refresh":
            return CacheTurn(plan, kept, outcome="refresh")
        if plan.mode == "only":
            if answer := await kept.read(key, plan.ttl):
                return CacheTurn(plan, answer=answer, outcome="hit")
            raise CacheMissError("the call asks for a kept answer only, and there is none; nothing was sent")
        return await self._fly(plan, kept, key)

    async def aclose(self) -> None:
        """Let go of connections. The cache may be used again afterwards."""
        if self._kept is not None:
            await self._kept.store.aclose()

    async def _fly(self, plan: CachePlan, kept: KeptAnswers, key: str) -> CacheTurn:
        part = await self._flights.join(key, patience=self._settings.wait)
        if part.value is not None and kept.is_fresh(part.value, plan.ttl):
            return CacheTurn(plan, answer=part.value, outcome="shared")
        if not part.leads:
            return CacheTurn(plan, kept, outcome="miss")
        try:
            answer = await kept.read(key, plan.ttl)
        except BaseException:
            self._flights.hand_over(key)
            raise
        if answer is None:
            return CacheTurn(plan, kept, flights=self._flights, outcome="miss")
        self._flights.share(key, answer)
        return CacheTurn(plan, answer=answer, outcome="hit")
