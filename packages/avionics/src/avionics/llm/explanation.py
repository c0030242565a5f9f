"""What would become of a call, without making it: whom it would be given to, in which words, and what it may cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from airframe.errors import AirframeError
from airframe.preview import RequestPreview
from airframe.types import InferenceWarning
from avionics.errors import ConfigurationError
from avionics.llm.cached_calls import CachedCalls
from avionics.llm.call import Call
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.demands import Demands
from avionics.llm.deployments import Deployments
from avionics.llm.limits import Limiter, LimitState
from avionics.llm.order import Order
from avionics.llm.planning import Planner
from avionics.llm.routing import BreakerState, Deployment, Exclusion, HealthBoard, RoutePolicy
from avionics.llm.usage_estimate import prompt_bounds

__all__ = ["Explainer", "Explanation", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A deployment that would be asked.

    Attributes:
        deployment: its name.
        provider: who is asked.
        model: for what; None leaves the model to the server.
        breaker: whether it is well.
        preview: what would be sent; None where nothing is, because the model runs here.
        changes: what the request says otherwise there, or not at all.
        problem: why it cannot be asked after all; its attempt would fail without anything being sent.
        cost_low_usd: what it costs at the least; None is unknown.
        cost_high_usd: at the most, for an answer as long as it may be; None is unknown.
        limits: how the limits stand that would count it.
    """

    deployment: str
    provider: str
    model: str | None
    breaker: BreakerState
    preview: RequestPreview | None = None
    changes: tuple[InferenceWarning, ...] = ()
    problem: str | None = None
    cost_low_usd: Decimal | None = None
    cost_high_usd: Decimal | None = None
    limits: tuple[LimitState, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would become of a call.

    Attributes:
        route: its name.
        variant: of which variant of an experiment it would be, as `experiment/variant`; None is none. Of a call without
            session and conversation this is a matter of chance.
        policy: how a call on it is made.
        timeout: seconds for the whole call; None is no limit.
        targets: who would be asked, in order, until one answers.
        exclusions: who would not, and why.
        opens_in: where everybody has to cool down: for how many seconds; else None.
        cache: why the response cache would not be asked, in words; None if it would.
        limits: how the limits stand that count calls, whoever is asked.
    """

    route: str
    policy: RoutePolicy
    timeout: float | None
    targets: tuple[Target, ...]
    exclusions: tuple[Exclusion, ...] = ()
    opens_in: float | None = None
    cache: str | None = None
    limits: tuple[LimitState, ...] = ()
    variant: str | None = None


class Explainer:
    """Explains calls of a gateway. Nothing is sent, nobody is waited for, and nothing changes."""

    def __init__(
        self,
        planner: Planner,
        deployments: Deployments,
        board: HealthBoard,
        prices: CostCalculator,
        limiter: Limiter,
        cached: CachedCalls,
    ) -> None:
        self._planner = planner
        self._deployments = deployments
        self._board = board
        self._prices = prices
        self._demands = Demands(deployments, prices)
        self._limiter = limiter
        self._cached = cached

    def explain(self, order: Order, *, stream: bool) -> Explanation:
        """What would become of the call."""
        call = order.call
        plan = self._planner.plan(order.route, call.request, call.caller, peek=True)
        return Explanation(
            route=order.route.name,
            policy=order.route.policy,
            timeout=order.timeout,
            targets=tuple(self._target(call, each, stream=stream) for each in plan.candidates),
            exclusions=plan.exclusions,
            opens_in=None if plan.opens_at is None else max(plan.opens_at - self._board.clock(), 0.0),
            cache=self._cached.plan(order, plan.targets).reason,
            limits=self._limits_of_call(call, plan.targets),
            variant=call.variant,
        )

    def _target(self, call: Call, deployment: Deployment, *, stream: bool) -> Target:
        breaker = self._board.state(deployment.name)
        try:
            provider = self._deployments.open(deployment)
            request = self._deployments.request(call, deployment, provider)
            prepared = provider.prepare(request)
            preview = provider.adapter.preview(provider.endpoint, prepared.request, stream=stream)
        except (AirframeError, ConfigurationError) as error:
            return Target(
                deployment=deployment.name,
                provider=deployment.provider,
                model=deployment.model,
                breaker=breaker,
                problem=str(error),
            )
        demand = self._demands.of_exchange(call, deployment, provider, request)
        fewest, _ = prompt_bounds(request)
        return Target(
            deployment=deployment.name,
            provider=provider.name,
            model=prepared.request.model,
            breaker=breaker,
            preview=preview,
            changes=(*prepared.warnings, *(preview.warnings if preview else ())),
            cost_low_usd=self._prices.calculate_cost(
                provider.name, demand.model, fewest, 0, terms=provider.terms
            ).cost_usd,
            cost_high_usd=demand.cost_usd,
            limits=tuple(self._limiter.state(demand)) if self._limiter else (),
        )

    def _limits_of_call(self, call: Call, candidates: Sequence[Deployment]) -> tuple[LimitState, ...]:
        return tuple(self._limiter.state(self._demands.of_call(call, candidates))) if self._limiter else ()
