"""What a logged attempt costs at other prices."""

from __future__ import annotations

from datetime import UTC, datetime

from avionics.calls.logged import LoggedAttempt
from avionics.llm.cost_calculator import CostCalculator, CostMetrics, Terms

__all__ = ["cost_again"]


def cost_again(prices: CostCalculator, attempt: LoggedAttempt) -> CostMetrics:
    """As when it was made: at the price of the model that answered, else of the one that was asked for."""
    terms = Terms(
        kind=attempt.kind,
        server_address=attempt.server_address,
        at=datetime.fromtimestamp(attempt.started_at_ns / 1_000_000_000, UTC),
        service_tier=attempt.service_tier,
        seconds=attempt.duration,
    )
    found = CostMetrics(cost_usd=None, source="unknown")
    for model in dict.fromkeys((attempt.response_model, attempt.model)):
        usage = attempt.usage
        found = prices.calculate_cost(
            attempt.provider, model, usage.input_tokens, usage.output_tokens, usage=usage, terms=terms
        )
        if found.cost_usd is not None:
            break
    return found
