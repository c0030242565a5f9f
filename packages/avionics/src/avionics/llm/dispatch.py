"""One deployment after the other until one answers: the loop that whole and streamed answers share.

Each deployment gets its share of the time that is left, so that a slow one cannot use up that of its fallbacks. A call
that is hedged begins with the next deployment while the first is still silent; whoever answers first wins, the others
are cancelled, and what they cost is on record.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

import anyio

from airframe.errors import AirframeError, ErrorCategory
from airframe.types import InferenceResult
from avionics.errors import (
    AvionicsError,
    BudgetExceededError,
    ConfigurationError,
    NoDeploymentError,
    RateLimitExceededError,
)
from avionics.llm.admission import Admission, Allowance
from avionics.llm.call import Call
from avionics.llm.continuation import can_continue
from avionics.llm.deadline import in_time
from avionics.llm.deployments import Deployments
from avionics.llm.fallback import still_to_ask
from avionics.llm.open_attempt import OpenAttempt
from avionics.llm.records import AttemptReason
from avionics.llm.routing import Deployment, RoutePlan

__all__ = ["Answered", "Ask", "Dispatcher", "Task"]

AnswerT = TypeVar("AnswerT")
AnswerT_co = TypeVar("AnswerT_co", covariant=True)


class Ask(Protocol[AnswerT_co]):
    """Asks in one attempt. Raises `AirframeError`, and may do so only as long as nothing was delivered to the caller.

    `last` says that nobody else can be asked, so that an empty or a slow answer is better than none.
    """

    def __call__(self, attempt: OpenAttempt, *, last: bool) -> Awaitable[AnswerT_co]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be done: a call, by a plan. `deadline` is a moment on the clock of the event loop."""

    call: Call
    plan: RoutePlan
    deadline: float | None = None
    priority: int = 0
    allowance: Allowance = field(default_factory=Allowance)
    reason: AttemptReason = "first"
    """Why the first deployment is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Generic[AnswerT]):
    """Who answered, and what."""

    attempt: OpenAttempt
    deployment: Deployment
    answer: AnswerT


class Dispatcher:
    """Gives tasks to deployments."""

    def __init__(self, deployments: Deployments, admission: Admission, logger: logging.Logger) -> None:
        self._deployments = deployments
        self._admission = admission
        self._logger = logger

    def continues(self, deployment: Deployment, partial: InferenceResult) -> bool:
        """Whether a deployment can go on with a text that broke off."""
        try:
            return can_continue(self._deployments.open(deployment), partial)
        except ConfigurationError:
            return False

    async def first_answer(self, task: Task, ask: Ask[AnswerT]) -> Answered[AnswerT]:
        """What `ask` gets from the first deployment that answers.

        Deployments are opened when their turn comes; the `ConfigurationError` of one is its failure. Raises the
        failure, or `AllAttemptsFailedError` when there are several.
        """
        race = _Race(task, ask, self._deployments, self._admission, self._logger)
        try:
            if task.plan.route.policy.hedge_after is not None and len(race.remaining) > 1:
                await race.run_hedged(task.plan.route.policy.hedge_after, task.plan.route.policy.hedge_most)
            else:
                await race.run()
        except BaseException as error:
            task.call.abort(error)
            raise
        if race.answered is None:
            raise task.call.fail(_told(race.failures))
        return race.answered


@dataclass
class _Race(Generic[AnswerT]):
    """The deployments that are left, and the lanes in which they are asked: one, or several when a call is hedged."""

    task: Task
    ask: Ask[AnswerT]
    deployments: Deployments
    admission: Admission
    logger: logging.Logger
    answered: Answered[AnswerT] | None = None
    failures: list[AvionicsError] = field(default_factory=list[AvionicsError])
    remaining: tuple[Deployment, ...] = ()
    asked: list[Deployment] = field(default_factory=list[Deployment])
    waited_for: set[Deployment] = field(default_factory=set[Deployment])
    lanes: int = 0
    fault: BaseException | None = None

    def __post_init__(self) -> None:
        self.remaining = self.task.plan.targets
        self.waited_for = set(self.task.plan.resting)

    async def run(self) -> None:
        """One lane: the next deployment until one answers, here or in another lane."""
        self.lanes += 1
        while self.answered is None and self.remaining and not self._enough():
            deployment, *rest = self.remaining
            self.remaining = tuple(rest)
            try:
                answered = await self._ask(deployment)
            except (NoDeploymentError, RateLimitExceededError) as error:
                if not self._put_off(deployment):
                    self._failed(error)
            except AvionicsError as error:
                self._failed(error)
            else:
                self._won(answered)
        self.lanes -= 1

    async def run_hedged(self, after: float, most: int) -> None:
        """Up to `most` further lanes, each begun when there has been no answer for `after` seconds."""
        over = anyio.Event()
        async with anyio.create_task_group() as lanes:

            async def lane() -> None:
                try:
                    await self.run()
                except anyio.get_cancelled_exc_class():
                    raise
                except BaseException as fault:  # noqa: BLE001 - raised below: a task group would wrap it
                    self.fault = self.fault or fault
                if self.answered or self.fault or not self.lanes:
                    over.set()

            lanes.start_soon(lane)
            for _ in range(most):
                with anyio.move_on_after(after):
                    await over.wait()
                if over.is_set() or not self.remaining:
                    break
                lanes.start_soon(lane)
            await over.wait()
            lanes.cancel_scope.cancel()
        if self.fault:
            raise self.fault

    async def _ask(self, deployment: Deployment) -> Answered[AnswerT]:
        call = self.task.call
        provider = self.deployments.open(deployment)
        request = self.deployments.request(call, deployment, provider)
        told = await self.admission.admit(
            call,
            deployment,
            provider,
            request,
            self.task.allowance,
            deadline=self.task.deadline,
            priority=self.task.priority,
            patient=self._is_patient(deployment),
            rested=deployment in self.waited_for,
        )
        attempt = call.begin(
            provider, request, deployment=deployment.name, reason=self._reason(deployment), when_closed=told
        )
        self.asked.append(deployment)
        last = not self.remaining and self.lanes == 1
        try:
            answer = await in_time(self._time(), partial(self.ask, attempt, last=last))
        except AirframeError as error:
            self.remaining = still_to_ask(self.remaining, deployment, error.category, self.task.plan, asked=self.asked)
            raise attempt.fail(error) from error
        except BaseException as error:
            attempt.leave(ErrorCategory.UNKNOWN if isinstance(error, Exception) else ErrorCategory.CANCELLED, error)
            raise
        return Answered(attempt=attempt, deployment=deployment, answer=answer)

    def _time(self) -> float | None:
        """Seconds for an attempt: half of what is left as long as somebody else can be asked; None is no limit.

        The caller's own scope limits the call too. It cuts off the last attempt by itself. Where a call is hedged,
        nobody waits for a slow deployment, so none is cut off for the sake of another.
        """
        shared = bool(self.remaining) and self.task.plan.route.policy.hedge_after is None
        ends = math.inf if self.task.deadline is None else self.task.deadline
        if shared:
            ends = min(ends, anyio.current_effective_deadline())
        if ends == math.inf:
            return None
        left = max(ends - anyio.current_time(), 0)
        return left / 2 if shared else left

    def _reason(self, deployment: Deployment) -> AttemptReason:
        if not self.asked:
            return self.task.reason
        if self.lanes > 1:
            return "hedge"
        same = deployment.backup is not None and self.asked[-1].provider == deployment.provider
        return "failover" if same else "fallback"

    def _is_patient(self, deployment: Deployment) -> bool:
        """Whether it is waited for until it may be asked: there is nobody else, or it is its second turn."""
        return deployment in self.waited_for or (not self.remaining and self.lanes == 1)

    def _put_off(self, deployment: Deployment) -> bool:
        """Have it asked later, before those who are left alone; once. It has not failed: it had no room."""
        if self._is_patient(deployment):
            return False
        resting = self.task.plan.resting
        ready = [each for each in self.remaining if each not in resting]
        self.remaining = (*ready, deployment, *(each for each in self.remaining if each in resting))
        self.waited_for.add(deployment)
        return True

    def _enough(self) -> bool:
        """Whether as many were asked as may be, or somebody was, and the time of the call is over, or its end told."""
        ends, most = self.task.deadline, self.task.plan.route.policy.max_attempts
        if self.task.call.is_over or (most is not None and len(self.asked) >= most):
            return True
        return bool(self.failures) and ends is not None and anyio.current_time() >= ends

    def _won(self, answered: Answered[AnswerT]) -> None:
        if self.answered is None:
            self.answered = answered
        else:  # two at the same moment
            answered.attempt.leave(ErrorCategory.CANCELLED)

    def _failed(self, error: AvionicsError) -> None:
        self.failures.append(error)
        if self.remaining:
            self.logger.warning(
                "call %s: attempt %d failed, asking the next deployment, %s: %s",
                self.task.call.id,
                len(self.failures),
                self.remaining[0].name,
                type(error).__name__,
            )


def _told(failures: Sequence[AvionicsError]) -> Sequence[AvionicsError]:
    """What the caller hears of. Where everybody is left alone, that is when the first of them is asked again; where all
    are too dear, that the budget is spent.
    """
    if all(isinstance(each, BudgetExceededError) for each in failures):
        return failures[:1]
    resting = [each for each in failures if isinstance(each, NoDeploymentError)]
    if not resting or len(resting) < len(failures):
        return failures
    return [min(resting, key=lambda each: math.inf if each.retry_after is None else each.retry_after)]
