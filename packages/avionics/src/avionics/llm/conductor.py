"""The order of work of one call, the same for whole and streamed answers: ask the quota, make a plan, look into the
response cache, ask one deployment after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import anyio

from airframe.errors import AirframeError
from airframe.types import InferenceResult
from avionics.errors import ConfigurationError
from avionics.llm.admission import Admission
from avionics.llm.cache import CachedAnswer, CacheMode, CacheTurn, ResponseCache
from avionics.llm.call import Call
from avionics.llm.deployments import Deployments
from avionics.llm.dispatch import Dispatcher, Task
from avionics.llm.fallback import empty_answer_error, is_empty
from avionics.llm.kept_answer import KeptAnswer
from avionics.llm.live_answer import LiveAnswer
from avionics.llm.open_attempt import OpenAttempt
from avionics.llm.planning import Planner
from avionics.llm.quota import QuotaGate
from avionics.llm.responses import LLMResponse
from avionics.llm.routing import Route

__all__ = ["Conductor", "Order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call that is to be made: its books, whom it may be given to, and how.

    `timeout` is seconds for all of it; None is no limit. `priority`, `cache` and `cache_ttl` are as in `CallOptions`.
    """

    call: Call
    route: Route
    timeout: float | None = None
    priority: int = 0
    cache: CacheMode | None = None
    cache_ttl: float | None = None


class Conductor:
    """Makes calls."""

    def __init__(
        self,
        planner: Planner,
        deployments: Deployments,
        dispatcher: Dispatcher,
        admission: Admission,
        quota: QuotaGate,
        cache: ResponseCache,
    ) -> None:
        self._planner = planner
        self._deployments = deployments
        self._dispatcher = dispatcher
        self._admission = admission
        self._quota = quota
        self._cache = cache

    async def whole(self, order: Order) -> LLMResponse:
        """The whole answer. Raises `LLMError`."""
        task = await self._task(order)
        turn = await self._turn(order, task)
        if turn is None:
            return await self._ask_whole(order, task)
        async with turn:
            if turn.answer is not None:
                return await self._kept(task, turn.answer).finish()
            response = await self._ask_whole(order, task)
            await turn.keep(
                _result(response), provider=response.provider, model=response.model, cost_usd=response.cost_usd
            )
            return response

    async def streamed(self, order: Order) -> LiveAnswer | KeptAnswer:
        """The answer as it comes; its first piece is there. Raises `LLMError`."""
        task = await self._task(order)
        turn = await self._turn(order, task)
        if turn is not None and turn.answer is not None:
            return self._kept(task, turn.answer)
        try:
            task = await self._entered(order, task)
            answer = LiveAnswer(task, self._dispatcher, self._admission, turn)
            await answer.open()
        except BaseException:
            if turn is not None:
                turn.leave()
            raise
        return answer

    async def _ask_whole(self, order: Order, task: Task) -> LLMResponse:
        task = await self._entered(order, task)
        try:
            answered = await self._dispatcher.first_answer(task, _ask)
            return task.call.succeed(answered.attempt, answered.answer)
        finally:
            await self._admission.leave(task.allowance)

    async def _entered(self, order: Order, task: Task) -> Task:
        """The same task, with leave of the limits that count calls."""
        allowance = await self._admission.enter(task.call, task.plan, deadline=task.deadline, priority=order.priority)
        return replace(task, allowance=allowance)

    async def _task(self, order: Order) -> Task:
        call, seconds = order.call, order.timeout
        deadline = None if seconds is None else anyio.current_time() + seconds
        self._quota.check(call.request)
        plan = await self._planner.plan_when_possible(order.route, call.request, call.caller, deadline=deadline)
        return Task(call=call, plan=plan, deadline=deadline, priority=order.priority)

    async def _turn(self, order: Order, task: Task) -> CacheTurn | None:
        """The call's turn at the cache; None where the cache has no part in it."""
        if not self._cache and order.cache != "only":
            return None
        first = task.plan.candidates[0]
        try:
            provider = self._deployments.open(first)
            request = provider.prepare(self._deployments.request(task.call, first, provider)).request
        except (AirframeError, ConfigurationError):
            return None  # who asks is told
        plan = self._cache.plan(
            provider=provider.name,
            endpoint=provider.endpoint,
            request=request,
            tenant=task.call.caller.tenant,
            mode=order.cache,
            ttl=order.cache_ttl,
        )
        turn = await self._cache.begin(plan)
        if turn.outcome != "none":
            task.call.cache = "miss"
        return turn

    def _kept(self, task: Task, answer: CachedAnswer) -> KeptAnswer:
        first = task.plan.candidates[0]
        return KeptAnswer(task.call, self._deployments.open(first), first.name, answer)


def _result(response: LLMResponse) -> InferenceResult:
    return cast("InferenceResult", response.metadata["result"])


async def _ask(attempt: OpenAttempt, *, last: bool) -> InferenceResult:
    result = await attempt.provider.infer(attempt.request)
    if not last and is_empty(result):
        raise empty_answer_error(result)
    return result
