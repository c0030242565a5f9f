"""What an attempt used and cost, how sure that is, and the sums of a call. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce

from airframe.types import Usage
from avionics.llm.completion_result import added_usage
from avionics.llm.cost_calculator import CostCalculator, CostSource, Terms
from avionics.llm.records import AttemptFinished, UsageSource
from avionics.llm.usage_estimate import Consumption

__all__ = ["Cost", "attempt_cost", "cost_range", "total_cost", "total_usage", "usage_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one attempt in USD: as likely, and the least and the most that it may be; None is unknown.

    All three are the same where the backend counted the tokens.
    """

    usd: Decimal | None = None
    low_usd: Decimal | None = None
    high_usd: Decimal | None = None
    source: CostSource = "unknown"
    price_version: str | None = None


def attempt_cost(
    prices: CostCalculator,
    provider: str,
    models: Iterable[str | None],
    consumption: Consumption,
    *,
    reported: Decimal | None,
    terms: Terms,
) -> Cost:
    """The cost of one attempt, at the price of the first of `models` that is known."""
    for model in dict.fromkeys(models):
        found = prices.calculate_cost(
            provider, model, *_tokens(consumption.usage), usage=consumption.usage, reported_cost=reported, terms=terms
        )
        if found.cost_usd is None:
            continue
        estimated = consumption.source == "estimated" and found.source != "provider"
        low, high = (
            (prices.calculate_cost(provider, model, *_tokens(usage), usage=usage, terms=terms) if estimated else found)
            for usage in (consumption.low, consumption.high)
        )
        return Cost(
            usd=found.cost_usd,
            low_usd=low.cost_usd,
            high_usd=high.cost_usd,
            source=found.source,
            price_version=found.price_version,
        )
    return Cost()


def total_usage(attempts: Sequence[AttemptFinished]) -> Usage | None:
    """The tokens of all attempts; None when none of them is known to have used any."""
    usages = [attempt.usage for attempt in attempts if attempt.usage is not None]
    return reduce(added_usage, usages) if usages else None


def total_cost(attempts: Sequence[AttemptFinished]) -> Decimal | None:
    """The cost of all attempts; None when one that used tokens has no known cost, or nothing is known at all."""
    return _total(attempts, lambda attempt: attempt.cost_usd)


def cost_range(attempts: Sequence[AttemptFinished]) -> tuple[Decimal | None, Decimal | None]:
    """The least and the most that all attempts may have cost; a bound is None when that of a part is unknown."""
    return (
        _total(attempts, lambda attempt: attempt.cost_low_usd),
        _total(attempts, lambda attempt: attempt.cost_high_usd),
    )


def usage_source(attempts: Sequence[AttemptFinished]) -> UsageSource:
    """Who counted the tokens of a call: estimated as soon as a part of them is."""
    sources = [attempt.usage_source for attempt in attempts]
    return "estimated" if "estimated" in sources else "reported" if "reported" in sources else "unknown"


def _total(attempts: Sequence[AttemptFinished], figure: Callable[[AttemptFinished], Decimal | None]) -> Decimal | None:
    """The sum over the attempts that used tokens or cost something; None where a part is unknown."""
    total: Decimal | None = None
    for attempt in attempts:
        if attempt.usage is None and attempt.cost_usd is None:
            continue
        part = figure(attempt)
        if part is None:
            return None
        total = part if total is None else total + part
    return total


def _tokens(usage: Usage | None) -> tuple[int | None, int | None]:
    return (usage.input_tokens, usage.output_tokens) if usage else (None, None)
