"""What logged attempts cost at other prices: those of today's list, or of another table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from avionics.calls.cost_again import cost_again
from avionics.calls.logged import LoggedAttempt
from avionics.calls.nano_usd import nano_usd
from avionics.calls.repricing import Repriced
from avionics.llm.cost_calculator import CostCalculator

__all__ = ["PriceChange", "price_changes"]


@dataclass(frozen=True, slots=True)
class PriceChange:
    """An attempt whose cost is another one at the new prices."""

    attempt: LoggedAttempt
    figure: Repriced


def price_changes(prices: CostCalculator, attempts: Iterable[LoggedAttempt]) -> Iterator[PriceChange]:
    """The attempts whose cost or price version changes. What the backend itself reported stays."""
    for attempt in attempts:
        if attempt.cost_source == "provider" or attempt.usage_source == "unknown":
            continue
        found = cost_again(prices, attempt)
        low, high = _bounds(attempt, found.cost_usd)
        was = (nano_usd(attempt.cost_usd), attempt.cost_source, attempt.price_version)
        if (nano_usd(found.cost_usd), found.source, found.price_version) != was:
            yield PriceChange(
                attempt,
                Repriced(
                    call_id=attempt.call_id,
                    number=attempt.number,
                    cost_usd=found.cost_usd,
                    cost_low_usd=low,
                    cost_high_usd=high,
                    cost_source=found.source,
                    price_version=found.price_version,
                ),
            )


def _bounds(attempt: LoggedAttempt, cost: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
    """The bounds of an estimate move with it: what they came from, the texts, was not kept."""
    if cost is None or not attempt.estimated:
        return cost, cost
    if not attempt.cost_usd:
        return Decimal(0), None if cost else cost
    factor = cost / attempt.cost_usd
    low, high = attempt.cost_low_usd, attempt.cost_high_usd
    return low and low * factor, high and high * factor
