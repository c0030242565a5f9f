"""How copies of calls are made: as calls are, with health, places and a budget of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from avionics.llm.admission import Admission
from avionics.llm.cached_calls import CachedCalls
from avionics.llm.call import Call
from avionics.llm.conductor import Conductor
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.demands import Demands
from avionics.llm.deployments import Deployments
from avionics.llm.dispatch import Dispatcher
from avionics.llm.experiments.participation import shadow_label
from avionics.llm.experiments.shadow_limiter import ShadowLimiter
from avionics.llm.limits import Limiter
from avionics.llm.observation import FaultLog
from avionics.llm.order import Order
from avionics.llm.planning import Planner
from avionics.llm.quota import QuotaGate
from avionics.llm.records import CallObserver
from avionics.llm.routing import ConcurrencyGate, HealthBoard, HealthPolicy, Route
from avionics.llm.settlements import Settlements
from avionics.settings import Settings
from avionics.settings.experiments import ShadowSettings

if TYPE_CHECKING:
    from avionics.llm.nodes import NodePool

__all__ = ["ShadowCalls", "ShadowMeans", "shadow_calls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowMeans:
    """What copies share with the calls of their gateway. `observer` is told of copies; the quota and the statistics
    are not.
    """

    settings: Settings
    deployments: Deployments
    prices: CostCalculator
    cached: CachedCalls
    observer: CallObserver
    faults: FaultLog
    logger: logging.Logger
    clock: Callable[[], float]
    config_hash: str
    nodes: NodePool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowCalls:
    """Makes the copies of one experiment."""

    shadow: ShadowSettings
    label: str
    means: ShadowMeans
    conductor: Conductor
    limiter: Limiter
    settlements: Settlements

    @classmethod
    def of(cls, experiment: str, shadow: ShadowSettings, means: ShadowMeans) -> Self:
        """Those of an experiment. Raises `ConfigurationError` for a store of budgets that cannot be had."""
        routing = means.settings.routing
        board = HealthBoard(HealthPolicy.from_settings(routing.health), clock=means.clock)
        label = shadow_label(experiment, shadow.to)
        limiter, settlements = ShadowLimiter(shadow, means.settings.limits, label), Settlements()
        admission = Admission(
            board=board,
            gate=ConcurrencyGate(routing.concurrency),
            limiter=limiter,
            demands=Demands(means.deployments, means.prices),
            settlements=settlements,  # and without nodes: a copy that fails would count against them
        )
        planner = Planner(means.deployments, board, means.prices, clock=means.clock, nodes=means.nodes)
        dispatcher = Dispatcher(means.deployments, admission, means.logger)
        quota = QuotaGate(None, means.faults, means.logger)
        conductor = Conductor(planner, dispatcher, admission, quota, means.cached)
        return cls(
            shadow=shadow, label=label, means=means, conductor=conductor, limiter=limiter, settlements=settlements
        )

    async def copy(self, call: Call, route: Route) -> None:
        """Make a call once more, on another route. Raises `AvionicsError`."""
        first = route.tiers[0].deployments[0]
        copied = Call(
            replace(call.request, model=first.model or self.means.deployments.default_model(first)),
            caller=call.caller,
            route=route.providers,
            config_hash=self.means.config_hash,
            variant=self.label,
            streamed=False,
            observer=self.means.observer,
            prices=self.means.prices,
            faults=self.means.faults,
        )
        total = route.policy.total
        timeout = self.shadow.timeout if total is None else total
        await self.conductor.whole(Order(call=copied, route=route, timeout=timeout, cache="bypass"))

    async def aclose(self) -> None:
        """Put down what was spent, and let go of the store."""
        await self.settlements.carry_out()
        await self.limiter.aclose()


def shadow_calls(means: ShadowMeans) -> Mapping[str, ShadowCalls]:
    """Those of all experiments that make copies, by name."""
    experiments = means.settings.experiments.items()
    return {name: ShadowCalls.of(name, each.shadow, means) for name, each in experiments if each.shadow is not None}
