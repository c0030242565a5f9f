"""Costs are Decimals in USD; what is not known is None and never zero."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from airframe.types import Usage
from avionics.llm.cost_calculator import CostCalculator, get_cost_calculator

MODEL = "gpt-4.1-mini"  # 0.40 USD in, 1.60 out, 0.10 from the cache, for a million tokens (genai-prices 0.2.3)


def test_a_listed_model_is_priced_from_the_catalog() -> None:
    """1000 tokens in and 10 out cost what the list says, exactly."""
    cost = CostCalculator().calculate_cost("openai", MODEL, 1000, 10)
    assert (cost.prompt_cost_usd, cost.completion_cost_usd) == (Decimal("0.0004"), Decimal("0.000016"))
    assert cost.cost_usd == Decimal("0.000416")
    assert isinstance(cost.cost_usd, Decimal)
    assert cost.source == "catalog"
    assert (cost.price_version or "").startswith("genai-prices 0.")


def test_a_dated_model_name_is_found() -> None:
    """Backends answer with the exact version of a model; its price is the model's."""
    assert CostCalculator().calculate_cost("openai", f"{MODEL}-2025-04-14", 1000, 10).cost_usd == Decimal("0.000416")


def test_what_came_from_the_cache_is_cheaper() -> None:
    """700 tokens at the list price and 300 at the cache's."""
    cost = CostCalculator().calculate_cost("openai", MODEL, 1000, 0, usage=Usage(cache_read_tokens=300))
    assert cost.cost_usd == Decimal("0.00031")


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "no-such-model"), ("nobody", MODEL), ("openai", None), ("openai", "")]
)
def test_an_unlisted_model_has_no_known_cost(provider: str, model: str | None) -> None:
    """No price is None, not 0."""
    cost = CostCalculator().calculate_cost(provider, model, 1000, 10)
    assert (cost.cost_usd, cost.prompt_cost_usd, cost.source) == (None, None, "unknown")


@pytest.mark.parametrize(
    ("prompt_tokens", "completion_tokens", "usage"),
    [
        (None, 10, None),
        (1000, None, None),
        (-1, 10, None),
        (1000, -1, None),
        (10**30, 10, None),
        (1000, 10**30, None),
        (1000, 10, Usage(cache_read_tokens=1001)),
        (1000, 10, Usage(cache_read_tokens=-1)),
    ],
)
def test_impossible_counts_are_not_priced(
    prompt_tokens: int | None, completion_tokens: int | None, usage: Usage | None
) -> None:
    """Unknown, negative, absurd and contradictory counts give no cost."""
    cost = CostCalculator().calculate_cost("openai", MODEL, prompt_tokens, completion_tokens, usage=usage)
    assert (cost.cost_usd, cost.source) == (None, "unknown")


def test_a_price_that_the_list_lacks_is_unknown() -> None:
    """Embedding models have no price for what they cannot say; words of theirs would cost something unknown, not 0."""
    assert CostCalculator().calculate_cost("openai", "text-embedding-3-small", 1000, 10).cost_usd is None
    assert CostCalculator().calculate_cost("openai", "text-embedding-3-small", 1000, 0).cost_usd == Decimal("0.00002")


def test_local_providers_cost_an_explicit_zero() -> None:
    """A llama.cpp server costs 0 whatever it runs, also when the tokens are unknown."""
    cost = CostCalculator().calculate_cost("llamaserver", MODEL, 1000, None)
    assert (cost.cost_usd, cost.source) == (Decimal(0), "local")
    assert CostCalculator(local_providers=["mine"]).calculate_cost("mine", None, None, None).cost_usd == Decimal(0)


def test_a_cost_that_the_backend_reports_wins() -> None:
    """Who sends the bill knows best."""
    cost = CostCalculator().calculate_cost("openai", MODEL, 1000, 10, reported_cost=Decimal("0.5"))
    assert (cost.cost_usd, cost.prompt_cost_usd, cost.source) == (Decimal("0.5"), None, "provider")


@pytest.mark.parametrize("reported", [Decimal(-1), Decimal("NaN"), Decimal("Infinity"), Decimal("1e12")])
def test_an_impossible_report_does_not_win(reported: Decimal) -> None:
    """A negative, absurd or non-finite report is ignored, and the list is used."""
    cost = CostCalculator().calculate_cost("openai", MODEL, 1000, 10, reported_cost=reported)
    assert (cost.cost_usd, cost.source) == (Decimal("0.000416"), "catalog")


def test_an_estimate_is_the_most_that_a_call_may_cost() -> None:
    """The whole of `max_tokens` is counted."""
    assert CostCalculator().estimate_cost("openai", MODEL, 1000, 1000).cost_usd == Decimal("0.002")


def test_list_prices_can_be_looked_up() -> None:
    """Prices for a million tokens; None for what is not listed; the first tier where there are several."""
    calculator = get_cost_calculator()
    pricing = calculator.get_pricing("openai", MODEL)
    assert pricing is not None
    assert (pricing.input_per_million, pricing.output_per_million) == (Decimal("0.4"), Decimal("1.6"))
    assert (pricing.cache_read_per_million, pricing.cache_write_per_million) == (Decimal("0.1"), None)
    assert calculator.get_pricing("openai", "no-such-model") is None
    tiered = calculator.get_pricing("google", "gemini-2.5-pro")
    assert tiered is not None
    assert tiered.input_per_million == Decimal("1.25")


def test_the_price_list_is_loaded_by_the_first_who_asks() -> None:
    """Importing the calculator, and pricing what is local, loads no price list."""
    code = (
        "import sys; from avionics.llm.cost_calculator import get_cost_calculator as get;"
        "get().calculate_cost('llamaserver', 'x', 1, 1); assert 'genai_prices' not in sys.modules;"
        "get().calculate_cost('openai', 'x', 1, 1); assert 'genai_prices' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
