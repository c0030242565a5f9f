"""Leave to ask a deployment now, and the count of how it went: health, places, rates and budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from airframe.errors import ErrorCategory
from airframe.types import InferenceRequest
from avionics.errors import BudgetExceededError, NoDeploymentError
from avionics.llm.call import Call
from avionics.llm.demands import Demands
from avionics.llm.limits import Demand, Limiter, Reservation
from avionics.llm.limits.reservation import Used
from avionics.llm.open_attempt import AttemptEnd
from avionics.llm.provider import LLMProvider
from avionics.llm.routing import ConcurrencyGate, Deployment, HealthBoard, RoutePlan, Slot
from avionics.llm.routing.health import is_probed
from avionics.llm.routing.rest import PROBE_TAKES
from avionics.llm.settlements import Settlements

if TYPE_CHECKING:
    from avionics.llm.nodes import NodePool

__all__ = ["Admission", "Allowance"]

_LONGEST_WAIT = 30.0
"""Seconds that a call without a deadline waits for a deployment to be asked again; of more its caller should hear."""

_TOO_MANY = frozenset({ErrorCategory.RATE_LIMIT, ErrorCategory.OVERLOADED})


class Allowance:
    """What is held for a call by the limits that count calls. It covers one exchange at a time, until one is billed."""

    def __init__(self, held: Reservation | None = None) -> None:
        self._held = held

    def take(self) -> Reservation | None:
        """For an exchange, if it is free."""
        held, self._held = self._held, None
        return held

    def give_back(self, held: Reservation | None) -> None:
        """The exchange was not billed."""
        self._held = held or self._held


@dataclass(frozen=True, slots=True)
class _Room:
    """What is taken up by one exchange."""

    slot: Slot
    held: Reservation | None
    within: Reservation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Keeps the counts of a gateway's deployments. `nodes` is None outside of distributed mode."""

    board: HealthBoard
    gate: ConcurrencyGate
    limiter: Limiter
    demands: Demands
    settlements: Settlements
    nodes: NodePool | None = None

    async def enter(self, call: Call, plan: RoutePlan, *, deadline: float | None, priority: int) -> Allowance:
        """Wait until the limits that count calls have room for one. Raises `LLMError`."""
        await self.settlements.carry_out()
        demand = self.demands.of_call(call, plan.targets)
        try:
            return Allowance(await self.limiter.reserve(demand, deadline=deadline, priority=priority))
        except BudgetExceededError:
            if len(plan.targets) == 1:
                raise
            return Allowance()  # enough for the dearest is not left; the limits are asked for each one by itself

    async def leave(self, allowance: Allowance) -> None:
        """The call is over, or nobody was asked."""
        if held := allowance.take():
            self.settlements.put(held, None)
        await self.settlements.carry_out()

    async def admit(
        self,
        call: Call,
        deployment: Deployment,
        provider: LLMProvider,
        request: InferenceRequest,
        allowance: Allowance,
        *,
        deadline: float | None,
        priority: int,
        patient: bool,
        rested: bool,
    ) -> Callable[[AttemptEnd], None]:
        """Leave to ask; gives what is to be told when the attempt is over.

        Who is not `patient` does not wait for room: there are others to ask. A deployment that is to be `rested` is
        asked when its time has come, if that is before `deadline`. Raises `NoDeploymentError`, and what limits raise.
        """
        name, ends = deployment.name, deadline if patient else anyio.current_time()
        demand = self.demands.of_exchange(call, deployment, provider, request) if self.limiter else None
        while True:
            if rested:
                await self._rested(name, deadline)
            room = await self._room(name, demand, allowance, deadline=ends, priority=priority)
            if self.board.claim_probe(name) or (patient and not rested):
                break
            self._give_up(room, allowance)
            if not rested:
                raise NoDeploymentError(
                    f"{name}: another call is finding out whether it is well again", category=ErrorCategory.OVERLOADED
                )
        self.board.begin(name)
        if self.nodes and deployment.node:
            self.nodes.began(deployment.node)

        def told(end: AttemptEnd) -> None:
            room.slot.release(refused=end.record.category in _TOO_MANY)
            self._judge(deployment, end)
            self._settle(end, room, allowance)
            limit = end.rate_limit if end.record.category is None else None
            refused = end.retry_after if end.record.category is ErrorCategory.RATE_LIMIT else None
            if limit or refused:
                counted = demand or self.demands.of_exchange(call, deployment, provider, request)
                self.limiter.learn(counted.quota or provider.name, counted.model, limit, refused)

        return told

    async def _room(
        self, name: str, demand: Demand | None, allowance: Allowance, *, deadline: float | None, priority: int
    ) -> _Room:
        """A place at the deployment, and what the limits hold for the exchange. Cancelled, it leaves no trace."""
        slot = await self.gate.take(name, priority=priority, deadline=deadline)
        within = allowance.take()
        try:
            await self.settlements.carry_out()
            held = None
            if demand is not None:
                held = await self.limiter.reserve(demand, deadline=deadline, priority=priority, within=within)
        except BaseException:
            allowance.give_back(within)
            slot.release()
            raise
        return _Room(slot, held, within)

    def _give_up(self, room: _Room, allowance: Allowance) -> None:
        room.slot.release()
        allowance.give_back(room.within)
        if room.held:
            self.settlements.put(room.held, None)

    async def _rested(self, name: str, deadline: float | None) -> None:
        """Wait until a deployment may be asked again."""
        ends = anyio.current_time() + _LONGEST_WAIT if deadline is None else deadline
        while (seconds := self._rest(name)) is not None:
            if anyio.current_time() + seconds > ends:
                raise NoDeploymentError(
                    f"{name} is left alone, and asked again in {seconds:.1f} s",
                    category=ErrorCategory.OVERLOADED,
                    retry_after=seconds,
                )
            await anyio.sleep(seconds)

    def _rest(self, name: str) -> float | None:
        """For how many seconds it is left alone yet; None when it may be asked."""
        health, now = self.board.health(name), self.board.clock()
        if health.cooldown_until is not None and health.cooldown_until > now:
            return health.cooldown_until - now
        return PROBE_TAKES if is_probed(health, now) else None

    def _settle(self, end: AttemptEnd, room: _Room, allowance: Allowance) -> None:
        usage, cost = end.usage, end.cost_usd
        if end.record.category is not None and usage is None and not cost:
            allowance.give_back(room.within)
            if room.held:
                self.settlements.put(room.held, None)
            return
        spent = Used(
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            cost_usd=cost,
        )
        for each in filter(None, (room.held, room.within)):
            self.settlements.put(each, spent)

    def _judge(self, deployment: Deployment, end: AttemptEnd) -> None:
        record, name = end.record, deployment.name
        tokens = record.usage.output_tokens if record.usage else None
        if record.category is None:
            self.board.success(name, duration=record.duration, first_event=record.time_to_first_event, tokens=tokens)
        elif record.category is ErrorCategory.CANCELLED:
            self.board.left(name, duration=record.duration)
        else:
            self.board.failure(name, category=record.category, retry_after=end.retry_after, duration=record.duration)
        if self.nodes and deployment.node:
            # A short answer comes in one read: the time after its first event would say nothing.
            self.nodes.finished(deployment.node, record.category, tokens=tokens, seconds=record.duration)
