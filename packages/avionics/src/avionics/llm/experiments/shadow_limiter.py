"""What copies of calls may cost: a budget of each experiment, counted where the other budgets are."""

from __future__ import annotations

from dataclasses import replace

from typing_extensions import override

from avionics.llm.limits import Demand, Limiter, Reservation
from avionics.settings import BudgetSettings, LimitsSettings
from avionics.settings.experiments import ShadowSettings

__all__ = ["ShadowLimiter"]


class ShadowLimiter(Limiter):
    """Holds copies to the budget of their experiment, and to nothing else.

    They are put down to an account of their own: no budget of an agent or tenant counts them, because neither asked for
    them. None is made at a price that is not known, nor while the store cannot count it.
    """

    def __init__(self, shadow: ShadowSettings, limits: LimitsSettings, account: str) -> None:
        budget = BudgetSettings(agent=account, usd=shadow.usd, per=shadow.per)
        alone = {"rates": (), "budgets": (budget,), "learn": False, "on_store_failure": "refuse"}
        super().__init__(limits.model_copy(update=alone))
        self._account = account

    @override
    async def reserve(
        self,
        demand: Demand,
        *,
        deadline: float | None = None,
        priority: int = 0,
        within: Reservation | None = None,
    ) -> Reservation:
        """As that of `Limiter`, whoever the call was for."""
        own = replace(demand, agent=self._account, tenant=None)
        return await super().reserve(own, deadline=deadline, priority=priority, within=within)
