"""The order of work of one call, the same for whole and streamed answers: ask the quota, make a plan, look into the
response cache, hold what the limits allow, ask one deployment after the other.
"""

from __future__ import annotations

from dataclasses import replace

import anyio

from airframe.types import InferenceResult
from avionics.llm.admission import Admission
from avionics.llm.cached_calls import CachedCalls, keep_answer
from avionics.llm.dispatch import Dispatcher, Task
from avionics.llm.fallback import empty_answer_error, is_empty
from avionics.llm.kept_answer import KeptAnswer
from avionics.llm.live_answer import LiveAnswer
from avionics.llm.open_attempt import OpenAttempt
from avionics.llm.order import Order
from avionics.llm.planning import Planner
from avionics.llm.quota import QuotaGate
from avionics.llm.responses import LLMResponse

__all__ = ["Conductor"]


class Conductor:
    """Makes calls."""

    def __init__(
        self, planner: Planner, dispatcher: Dispatcher, admission: Admission, quota: QuotaGate, cached: CachedCalls
    ) -> None:
        self._planner = planner
        self._dispatcher = dispatcher
        self._admission = admission
        self._quota = quota
        self._cached = cached

    async def whole(self, order: Order) -> LLMResponse:
        """The whole answer. Raises `LLMError`."""
        task = self._task(order)
        targets = task.plan.targets
        turn = await self._cached.turn(order, targets, deadline=task.deadline)
        if turn is None:
            return await self._ask_whole(task)
        async with turn:
            if turn.answer is not None:
                return await self._cached.kept(order, targets, turn.answer).finish()
            response = await self._ask_whole(task)
            await keep_answer(turn, targets, response)
            return response

    async def streamed(self, order: Order) -> LiveAnswer | KeptAnswer:
        """The answer as it comes; its first piece is there. Raises `LLMError`."""
        task = self._task(order)
        turn = await self._cached.turn(order, task.plan.targets, deadline=task.deadline)
        if turn is not None and turn.answer is not None:
            return self._cached.kept(order, task.plan.targets, turn.answer)
        try:
            answer = LiveAnswer(await self._entered(task), self._dispatcher, self._admission, turn)
            await answer.open()
        except BaseException:
            if turn is not None:
                turn.leave()
            raise
        return answer

    def _task(self, order: Order) -> Task:
        call, seconds = order.call, order.timeout
        deadline = None if seconds is None else anyio.current_time() + seconds
        self._quota.check(call.request)
        plan = self._planner.plan_or_raise(order.route, call.request, call.caller)
        return Task(call=call, plan=plan, deadline=deadline, priority=order.priority)

    async def _ask_whole(self, task: Task) -> LLMResponse:
        task = await self._entered(task)
        try:
            answered = await self._dispatcher.first_answer(task, _ask)
            return task.call.succeed(answered.attempt, answered.answer)
        finally:
            await self._admission.leave(task.allowance)

    async def _entered(self, task: Task) -> Task:
        """The same task, with leave of the limits that count calls."""
        if not self._admission.limiter:
            return task
        allowance = await self._admission.enter(task.call, task.plan, deadline=task.deadline, priority=task.priority)
        return replace(task, allowance=allowance)


async def _ask(attempt: OpenAttempt, *, last: bool) -> InferenceResult:
    result = await attempt.provider.infer(attempt.request)
    if not last and is_empty(result):
        raise empty_answer_error(result)
    return result
