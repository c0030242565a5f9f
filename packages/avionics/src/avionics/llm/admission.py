"""Leave to ask a deployment now, and the count of how it went: health, places, rates and budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from airframe.errors import ErrorCategory
from airframe.types import InferenceRequest
from avionics.errors import NoDeploymentError
from avionics.llm.call import Call
from avionics.llm.demands import Demands
from avionics.llm.limits import Demand, Limiter, Reservation
from avionics.llm.nodes import NodePool
from avionics.llm.open_attempt import AttemptEnd
from avionics.llm.provider import LLMProvider
from avionics.llm.routing import ConcurrencyGate, Deployment, HealthBoard, RoutePlan
from avionics.llm.routing.rest import PROBE_TAKES
from avionics.llm.settlements import Settlements, Spent

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
        if not self.limiter:
            return Allowance()
        demand = self.demands.of_call(call, plan.targets)
        return Allowance(await self.limiter.reserve(demand, deadline=deadline, priority=priority))

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
        name = deployment.name
        if rested:
            await self._rested(name, deadline)
        elif not self.board.claim_probe(name) and not patient:
            raise NoDeploymentError(
                f"{name}: another call is finding out whether it is well again", category=ErrorCategory.OVERLOADED
            )
        ends = deadline if patient else anyio.current_time()
        slot = await self.gate.take(name, priority=priority, deadline=ends)
        await self.settlements.carry_out()
        demand = self.demands.of_exchange(call, provider, request) if self.limiter else None
        # What is held for the call is known to be enough only where the price of the exchange is known.
        within = allowance.take() if demand is not None and demand.cost_usd is not None else None
        try:
            held = await self._hold(demand, within, deadline=ends, priority=priority)
        except BaseException:
            allowance.give_back(within)
            slot.release()
            self.board.left(name)
            raise
        self.board.begin(name)
        if self.nodes and deployment.node:
            self.nodes.began(deployment.node)

        def told(end: AttemptEnd) -> None:
            slot.release(refused=end.record.category in _TOO_MANY)
            self._judge(deployment, end)
            self._settle(end, held, within, allowance)
            limit = end.rate_limit if end.record.category is None else None
            refused = end.retry_after if end.record.category is ErrorCategory.RATE_LIMIT else None
            self.limiter.learn(provider.name, request.model, limit, refused)

        return told

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
        """For how many seconds it is left alone yet; None when it may be asked, by this call."""
        ends = self.board.health(name).cooldown_until
        if ends is not None and (seconds := ends - self.board.clock()) > 0:
            return seconds
        return None if self.board.claim_probe(name) else PROBE_TAKES

    async def _hold(
        self,
        demand: Demand | None,
        within: Reservation | None,
        *,
        deadline: float | None,
        priority: int,
    ) -> Reservation | None:
        if demand is None:
            return None
        return await self.limiter.reserve(demand, deadline=deadline, priority=priority, within=within)

    def _settle(
        self, end: AttemptEnd, held: Reservation | None, within: Reservation | None, allowance: Allowance
    ) -> None:
        usage, cost = end.usage, end.cost_usd
        if end.record.category is not None and usage is None and not cost:
            allowance.give_back(within)
            if held:
                self.settlements.put(held, None)
            return
        spent = Spent(
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            cost_usd=cost,
        )
        for each in filter(None, (held, within)):
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
            seconds = record.duration - (record.time_to_first_event or 0.0)
            self.nodes.finished(deployment.node, record.category, tokens=tokens, seconds=seconds)
