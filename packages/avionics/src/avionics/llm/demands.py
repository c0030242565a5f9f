"""What a call may use at the most, for the limits that hold room for it."""

from __future__ import annotations

from collections.abc import Iterable

from airframe.types import InferenceRequest
from avionics.llm.call import Call
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.deployments import Deployments
from avionics.llm.limits import Demand
from avionics.llm.provider import LLMProvider
from avionics.llm.requests import estimate_prompt_tokens
from avionics.llm.routing import Deployment
from avionics.llm.usage_estimate import prompt_bounds

__all__ = ["Demands"]

_LONG_ANSWER = 4096
"""Tokens that are held for the answer of a call that sets no limit. The most that today's models may say, 128,000,
would hold back the better part of most budgets for every call.
"""


class Demands:
    """Reckons them, with the prices of a gateway."""

    def __init__(self, deployments: Deployments, prices: CostCalculator) -> None:
        self._deployments = deployments
        self._prices = prices

    def of_exchange(
        self, call: Call, deployment: Deployment, provider: LLMProvider, request: InferenceRequest
    ) -> Demand:
        """The most that one exchange may use."""
        spec = provider.spec(request.model)
        model = spec.name if spec else request.model
        longest = request.max_tokens or min(_LONG_ANSWER, (spec.max_output if spec else None) or _LONG_ANSWER)
        _, most = prompt_bounds(request)
        tokens = estimate_prompt_tokens(request) if most is None else most
        return Demand(
            provider=provider.name,
            model=model,
            agent=call.caller.agent_name,
            tenant=call.caller.tenant,
            own_quota=deployment.name if deployment.own_quota or deployment.node else None,
            input_tokens=tokens,
            output_tokens=longest,
            cost_usd=self._prices.calculate_cost(provider.name, model, tokens, longest, terms=provider.terms).cost_usd,
        )

    def of_call(self, call: Call, candidates: Iterable[Deployment]) -> Demand:
        """The most that any of `candidates` may use; of those whose price is known, as far as there are any."""
        demands = [demand for each in candidates if (demand := self._of_candidate(call, each))]
        known = [demand.cost_usd for demand in demands if demand.cost_usd is not None]
        return Demand(
            agent=call.caller.agent_name,
            tenant=call.caller.tenant,
            input_tokens=max((demand.input_tokens for demand in demands), default=0),
            output_tokens=max((demand.output_tokens for demand in demands), default=0),
            cost_usd=max(known, default=None),
        )

    def _of_candidate(self, call: Call, deployment: Deployment) -> Demand | None:
        try:
            provider = self._deployments.open(deployment)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, who asks it is told
            return None
        return self.of_exchange(call, deployment, provider, self._deployments.request(call, deployment, provider))
