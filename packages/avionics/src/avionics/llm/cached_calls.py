"""The response cache as a gateway uses it: by the request that the first deployment of a plan would be asked."""

from __future__ import annotations

from collections.abc import Sequence

from airframe.errors import AirframeError
from avionics.errors import ConfigurationError
from avionics.llm.cache import CachedAnswer, CachePlan, CacheTurn, ResponseCache
from avionics.llm.deployments import Deployments
from avionics.llm.kept_answer import KeptAnswer
from avionics.llm.order import Order
from avionics.llm.routing import Deployment

__all__ = ["CachedCalls"]


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

    async def turn(self, order: Order, candidates: Sequence[Deployment]) -> CacheTurn | None:
        """The call's turn at the cache; None where the cache is off. Raises `CacheMissError`."""
        if not self._cache and order.cache != "only":
            return None
        turn = await self._cache.begin(self.plan(order, candidates))
        if turn.outcome != "none":
            order.call.cache = "miss"
        return turn

    def kept(self, order: Order, candidates: Sequence[Deployment], answer: CachedAnswer) -> KeptAnswer:
        """The answer that was kept, for the call."""
        first = candidates[0]
        return KeptAnswer(order.call, self._deployments.open(first), first.name, answer)
