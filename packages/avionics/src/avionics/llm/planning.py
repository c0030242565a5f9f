"""Whom to ask for a call, and in which order: here is gathered what the pure planner needs to know."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from airframe.errors import ErrorCategory
from airframe.types import InferenceRequest
from avionics.errors import ConfigurationError, NoDeploymentError
from avionics.llm.call import Caller
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.deployments import Deployments
from avionics.llm.routing import Circumstances, Deployment, Exclusion, HealthBoard, Needs, Route, RoutePlan, plan

if TYPE_CHECKING:
    from avionics.llm.nodes import NodePool, NodeProfile

__all__ = ["Planner"]

_TYPICAL_INPUT, _TYPICAL_OUTPUT = 1000, 500
"""Tokens by which costs are compared where a call does not say how long its answer may be."""


class Planner:
    """Makes plans for calls. The clock is that of the board."""

    def __init__(
        self,
        deployments: Deployments,
        board: HealthBoard,
        prices: CostCalculator,
        *,
        clock: Callable[[], float],
        nodes: NodePool | None = None,
        draw: random.Random | None = None,
    ) -> None:
        self._deployments = deployments
        self._board = board
        self._prices = prices
        self._clock = clock
        self._nodes = nodes
        self._draw = draw or random.Random()  # noqa: S311 - it balances load
        self._turn = 0

    def plan(self, route: Route, request: InferenceRequest, caller: Caller, *, peek: bool = False) -> RoutePlan:
        """The plan as things stand. Nothing is sent. To `peek` leaves the next call the plan that it would have had."""
        state = self._draw.getstate() if peek else None
        made = self._plan(route, request, caller)
        if state is None:
            self._turn += 1
        else:
            self._draw.setstate(state)
        return made if self._nodes is None else self._with_nodes(self._nodes, made, request, caller)

    def _plan(self, route: Route, request: InferenceRequest, caller: Caller) -> RoutePlan:
        needs = Needs.of(request)
        alone = len(route.tiers) == 1 and len(route.tiers[0].deployments) == 1
        return plan(
            route,
            needs,
            _circumstances(route, request, caller),
            specs={each.name: self._deployments.spec(each) for each in route.deployments()},
            # Leaving the only deployment alone would spare nobody, and delay its return.
            healths={} if alone else self._board.snapshot(),
            costs=self._costs(route, needs),
            draw=self._draw,
            turn=self._turn,
            now=self._clock(),
        )

    def _with_nodes(self, nodes: NodePool, made: RoutePlan, request: InferenceRequest, caller: Caller) -> RoutePlan:
        """The same with the nodes that may be asked before everybody else."""
        first = made.route.tiers[0].deployments[0]
        found = nodes.plan(caller.agent_name, self._deployments.model_name(first), _affinity(request, caller))

        def as_deployment(node: NodeProfile) -> Deployment:
            return replace(first, provider=node.provider or first.provider, backup=None, node=node.name)

        excluded = (Exclusion(deployment=as_deployment(each.node), reason=each.why) for each in found.excluded)
        return replace(
            made,
            candidates=(*map(as_deployment, found.nodes), *made.candidates),
            exclusions=(*excluded, *made.exclusions),
        )

    def plan_or_raise(self, route: Route, request: InferenceRequest, caller: Caller) -> RoutePlan:
        """The same. Raises `NoDeploymentError` when nobody can serve the call."""
        made = self.plan(route, request, caller)
        if not made.targets:
            raise NoDeploymentError(_nobody(made), category=ErrorCategory.UNSUPPORTED)
        return made

    def _costs(self, route: Route, needs: Needs) -> Mapping[str, Decimal | None]:
        if all(tier.balancing != "lowest_cost" for tier in route.tiers):
            return {}
        return {each.name: self._cost(each, needs) for each in route.deployments()}

    def _cost(self, deployment: Deployment, needs: Needs) -> Decimal | None:
        spec = self._deployments.spec(deployment)
        model = spec.name if spec else deployment.model
        tokens_in, tokens_out = needs.input_tokens or _TYPICAL_INPUT, needs.output_tokens or _TYPICAL_OUTPUT
        try:
            terms = self._deployments.open(deployment).terms
        except ConfigurationError:
            return None  # who asks for it is told
        return self._prices.calculate_cost(deployment.provider, model, tokens_in, tokens_out, terms=terms).cost_usd


def _circumstances(route: Route, request: InferenceRequest, caller: Caller) -> Circumstances:
    sticky = any(tier.balancing == "sticky" for tier in route.tiers)
    return Circumstances(
        agent_name=caller.agent_name,
        tenant=caller.tenant,
        tags=caller.tags,
        now=datetime.now(UTC),
        affinity=_affinity(request, caller) if sticky else None,
    )


def _affinity(request: InferenceRequest, caller: Caller) -> str:
    """What the calls of a session have in common; without one, those whose prompts begin alike."""
    from avionics.llm.nodes.affinity import affinity_key  # for those who have nodes, or a sticky route

    return affinity_key(request.messages, conversation_id=caller.session_id or caller.conversation_id)


def _nobody(made: RoutePlan) -> str:
    reasons = "; ".join(f"{each.deployment.name}: {each.reason}" for each in made.exclusions)
    return f"no deployment of the route {made.route.name} can serve the call: {reasons}"
