"""What is remembered of earlier questions: it changes no answer, and does not grow for ever."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from avionics.llm.cost_calculator import CostCalculator, CostMetrics, Terms
from avionics.llm.prices import PriceTable
from avionics.settings import PriceRow

ROWS = [
    PriceRow(input_per_million=Decimal(1), output_per_million=Decimal(1)),
    PriceRow(since=date(2026, 6, 1), input_per_million=Decimal(2)),
    PriceRow(above=1_000, input_per_million=Decimal(3)),
    PriceRow(service_tier="flex", output_per_million=Decimal(4)),
    PriceRow(model="gpt-4*", input_per_million=Decimal(5), output_per_million=Decimal(5)),
    PriceRow(provider="azure", input_per_million=Decimal(6), output_per_million=Decimal(6)),
]
DAYS = [datetime(2026, 5, 31, 23, 59, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)]
QUESTIONS = [
    (provider, model, tokens, Terms(at=at, service_tier=tier))
    for provider, model, tokens, at, tier in itertools.product(
        ["openai", "azure"], ["gpt-4.1", "gpt-5", "none-such"], [0, 1_000, 1_001], DAYS, [None, "flex"]
    )
]


def answers(calculator: Callable[[], CostCalculator]) -> list[CostMetrics]:
    return [calculator().calculate_cost(*question[:2], question[2], 10, terms=question[3]) for question in QUESTIONS]


@pytest.mark.parametrize("rows", [ROWS, []], ids=["user", "list"])
def test_what_was_asked_before_changes_no_answer(rows: list[PriceRow]) -> None:
    """One calculator that is asked everything in turn answers as a new one for each question, every time."""
    asked = CostCalculator(PriceTable(rows))
    fresh = answers(lambda: CostCalculator(PriceTable(rows)))
    assert answers(lambda: asked) == fresh
    assert answers(lambda: asked) == fresh
    assert len(set(fresh)) > 2


@pytest.mark.parametrize("rows", [ROWS, []], ids=["user", "list"])
def test_names_that_come_once_are_forgotten(rows: list[PriceRow]) -> None:
    """Models whose names are made up by callers take a bounded amount of memory."""
    calculator = CostCalculator(PriceTable(rows))

    def ask(first: int) -> None:
        for number in range(first, first + 1_500):
            at = DAYS[0] + timedelta(days=number)
            calculator.calculate_cost("openai", f"{'x' * 2_000}-{number}", 10, 10, terms=Terms(at=at))

    ask(0)
    tracemalloc.start()
    try:
        ask(1_500)
        ask(3_000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4_500_000, "the names alone, all of them, would be 6 MB"
