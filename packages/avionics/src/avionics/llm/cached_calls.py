"""The response cache as a gateway uses it: by the request that the first deployment of a plan would be asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import anyio

from airframe.errors import AirframeError, CallTimeoutError
from airframe.types import InferenceResult
from avionics.errors import ConfigurationError, llm_error
from avionics.llm.cache import CachedAnswer, CachePlan, CacheTurn, ResponseCache
from avionics.llm.deadline import in_time
from avionics.llm.deployments import Deployments
from avionics.llm.kept_answer import KeptAnswer
from avionics.llm.order import Order
from avionics.llm.responses import LLMResponse
from avionics.llm.routing import Deployment

__all__ = ["CachedCalls", "keep_answer"]


class CachedCalls:
    """Finds out what the cache has for a call."""

    def __init__(self, cache: ResponseCache, deployments: Deployments) -> None:
        self._cache = cache
        self._deployments = deployments

    def plan(self, order: Order, candidates: Sequence[Deployment]) -> CachePlan:
        """What the call wants of the cache, or why it gets nothing. Nothing is read."""
        if not candidates:
            return CachePlan(key=None, reason="nobody can be asked")
        first = candidates[0]
        try:
            provider = self._deployments.open(first)
            request = provider.prepare(self._deployments.request(order.call, first, provider)).request
        except (AirframeError, ConfigurationError) as error:  # who asks is told
            return CachePlan(key=None, reason=str(error), mode=order.cache or "use")
        return self._cache.plan(
            provider=provider.name,
            endpoint=provider.endpoint,
            request=request,
            tenant=order.call.caller.tenant,
            mode=order.cache,
            ttl=order.cache_ttl,
        )

    async def turn(
        self, order: Order, candidates: Sequence[Deployment], *, deadline: float | None = None
    ) -> CacheTurn | None:
        """The call's turn at the cache; None where the cache is off. What it waits for there is a part of its time.

        Raises `CacheMissError`, and `LLMTimeoutError` at the deadline.
        """
        if not self._cache and order.cache != "only":
            return None
        try:
            left = None if deadline is None else deadline - anyio.current_time()
            turn = await in_time(left, partial(self._cache.begin, self.plan(order, candidates)))
        except CallTimeoutError as error:
            raise llm_error(error, provider=candidates[0].provider, model=candidates[0].model) from error
        if turn.outcome != "none":
            order.call.cache = "miss"
        return turn

    def kept(self, order: Order, candidates: Sequence[Deployment], answer: CachedAnswer) -> KeptAnswer:
        """The answer that was kept, for the call."""
        first = candidates[0]
        return KeptAnswer(order.call, self._deployments.open(first), first.name, answer)


async def keep_answer(
    turn: CacheTurn, targets: Sequence[Deployment], response: LLMResponse, pieces: Sequence[str] = ()
) -> None:
    """Keep what was answered. Not what another model of the same provider says: the key is that of the first one."""
    first = targets[0]
    if response.provider == first.provider and response.metadata["deployment"] != first.name:
        turn.leave()
        return
    result = cast("InferenceResult", response.metadata["result"])
    await turn.keep(result, provider=response.provider, model=response.model, pieces=pieces, cost_usd=response.cost_usd)
