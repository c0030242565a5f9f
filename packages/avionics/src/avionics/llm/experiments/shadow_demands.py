"""What copies of calls may use, put down to the account of their experiment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from typing_extensions import override

from airframe.types import InferenceRequest
from avionics.llm.call import Call
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.demands import Demands
from avionics.llm.deployments import Deployments
from avionics.llm.limits import Demand, Limiter
from avionics.llm.provider import LLMProvider
from avionics.llm.routing import Deployment
from avionics.settings import BudgetSettings, LimitsSettings
from avionics.settings.experiments import ShadowSettings

__all__ = ["ShadowDemands", "shadow_limiter"]


class ShadowDemands(Demands):
    """Demands of copies. An agent's or tenant's budget does not count them: nobody asked for them."""

    def __init__(self, deployments: Deployments, prices: CostCalculator, account: str) -> None:
        super().__init__(deployments, prices)
        self._account = account

    @override
    def of_exchange(self, call: Call, provider: LLMProvider, request: InferenceRequest) -> Demand:
        """The most that one exchange may use."""
        return replace(super().of_exchange(call, provider, request), agent=self._account, tenant=None)

    @override
    def of_call(self, call: Call, candidates: Iterable[Deployment]) -> Demand:
        """The most that any of `candidates` may use."""
        return replace(super().of_call(call, candidates), agent=self._account, tenant=None)


def shadow_limiter(shadow: ShadowSettings, limits: LimitsSettings, account: str) -> Limiter:
    """Holds copies to their budget, and to nothing else. It is counted where the other budgets are.

    Copies are not made at a price that is not known, nor while the store cannot count them.
    """
    budget = BudgetSettings(agent=account, usd=shadow.usd, per=shadow.per)
    alone = limits.model_copy(update={"rates": (), "budgets": (budget,), "learn": False, "on_store_failure": "refuse"})
    return Limiter(alone)
