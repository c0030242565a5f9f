"""The price list, in our arithmetic and in its own: two ways to the same figure, for every model in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices import Usage as PricedUsage
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

from airframe.types import Usage
from avionics.llm.cost_calculator import CostCalculator, Terms

LIST = DataSnapshot(providers=list(providers), from_auto_update=False)
CALCULATOR = CostCalculator()
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)

SHORT = Usage(input_tokens=1_000, output_tokens=100)
CACHED = Usage(input_tokens=250_000, output_tokens=50, cache_read_tokens=200_000, cache_write_tokens=20_000)
LONG = Usage(input_tokens=300_000, output_tokens=7, reasoning_tokens=3)
HOURLY = Usage(input_tokens=900, output_tokens=9, cache_write_tokens=500, cache_write_1h_tokens=300)
SOUND = Usage(input_tokens=90, output_tokens=90, input_audio_tokens=50, output_audio_tokens=80)


def models() -> Iterator[tuple[str, str]]:
    """A name by which the list finds each of its models, with the vendor."""
    for provider in providers:
        for model in provider.models:
            found = provider.find_model(model.id)
            if found is model:
                yield provider.id, model.id


@pytest.mark.parametrize(
    ("usage", "tier", "at_least"),
    [
        (SHORT, None, 1500),
        (CACHED, None, 1500),
        (LONG, None, 1500),
        (HOURLY, None, 1500),
        (SOUND, None, 1500),
        (CACHED, "flex", 15),
        (CACHED, "priority", 15),
        (LONG, "batch", 50),
        (LONG, "fast", 15),
    ],
    ids=["short", "cached", "long", "hourly", "sound", "flex", "priority", "batch", "fast"],
)
def test_every_price_is_the_list_s_own(usage: Usage, tier: str | None, at_least: int) -> None:
    """Where we know a cost, it is what genai-prices itself reckons; and of almost all models we know it."""
    known = 0
    for vendor, model in models():
        ours = CALCULATOR.calculate_cost(
            vendor,
            model,
            usage.input_tokens,
            usage.output_tokens,
            usage=usage,
            terms=Terms(at=AT, service_tier=tier),
        )
        if ours.cost_usd is not None:
            known += 1
            assert ours.cost_usd == theirs(vendor, model, usage, tier), (vendor, model)
    assert known > at_least


def theirs(vendor: str, model: str, usage: Usage, tier: str | None) -> Decimal:
    counted = PricedUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        cache_audio_read_tokens=0 if usage.input_audio_tokens else None,
    )
    context = {"service_tier": tier, "processing": tier, "speed": tier} if tier else {}
    return LIST.calc(counted, model, vendor, None, AT, context).total_price


@pytest.mark.parametrize(
    ("day", "cost"),
    [("2025-06-09", "0.05"), ("2025-06-10", "0.01")],  # o3: 10 and 40 USD, then 2 and 8
)
def test_the_price_is_that_of_the_day(day: str, cost: str) -> None:
    """A call of the past is priced as it was then."""
    terms = Terms(at=datetime.fromisoformat(f"{day}T23:59:59+00:00"))
    assert CALCULATOR.calculate_cost("openai", "o3", 1_000, 1_000, terms=terms).cost_usd == Decimal(cost)


@pytest.mark.parametrize(("tokens", "cost"), [(200_000, "0.6"), (200_001, "1.200006")])
def test_a_long_prompt_has_its_own_rate(tokens: int, cost: str) -> None:
    """Beyond the threshold all tokens cost more, not only those beyond it (claude-sonnet-4-5, 3 and 6 USD)."""
    assert CALCULATOR.calculate_cost("anthropic", "claude-sonnet-4-5", tokens, 0).cost_usd == Decimal(cost)


@pytest.mark.parametrize(
    ("tier", "cost"),
    [
        ("default", "0.00225"),
        ("flex", "0.001125"),
        ("priority", "0.0045"),
        ("batch", "0.001125"),
        ("scale", None),
        ("no-such-tier", None),
    ],
)
def test_the_price_is_that_of_the_tier(tier: str, cost: str | None) -> None:
    """A tier that the list does not know is not billed at the usual price: its cost is unknown (gpt-5: 1.25, 10)."""
    terms = Terms(at=AT, service_tier=tier)
    found = CALCULATOR.calculate_cost("openai", "gpt-5", 1_000, 100, terms=terms).cost_usd
    assert found == (None if cost is None else Decimal(cost))


def test_a_tier_before_its_price_is_known_is_unknown() -> None:
    """The list knows prices of tiers from the day on which somebody looked."""
    terms = Terms(at=datetime(2026, 10, 11, tzinfo=UTC), service_tier="flex")
    assert CALCULATOR.calculate_cost("openai", "gpt-5", 1_000, 100, terms=terms).cost_usd is None


@pytest.mark.parametrize(
    ("provider", "kind", "host", "model", "known"),
    [
        ("mine", "openai_compatible", "api.groq.com", "openai/gpt-oss-120b", True),
        ("mine", "openai_compatible", "10.0.0.7", "openai/gpt-oss-120b", False),
        ("mine", "openai", "gateway.example", "gpt-5", True),
        ("mine", "azure", "mine.openai.azure.com", "gpt-5", True),
        ("mine", "anthropic", "mine.services.ai.azure.com", "claude-opus-4-1", True),
        ("openai_compatible", None, None, "gpt-5", False),
        ("mistral", None, None, "mistral-large-latest", True),
    ],
)
def test_who_sends_the_bill(provider: str, kind: str | None, host: str | None, model: str, known: bool) -> None:
    """The host says so, else the vendor whose API it is, else the name; the user's own names say nothing."""
    terms = Terms(kind=kind, server_address=host, at=AT)
    found = CALCULATOR.calculate_cost(provider, model, 1_000, 100, terms=terms)
    assert (found.cost_usd is not None, found.source) == (known, "catalog" if known else "unknown")


@pytest.mark.parametrize(
    ("kind", "model", "host", "source"),
    [
        ("ollama", "qwen3:4b", "127.0.0.1", "local"),
        ("llama_server", "gpt-5", "10.0.0.7", "local"),
        ("ollama", "gpt-oss:120b-cloud", "127.0.0.1", "unknown"),
        ("ollama", "gpt-oss:120b", "ollama.com", "unknown"),
    ],
)
def test_what_runs_here_is_free_and_nothing_else(kind: str, model: str, host: str, source: str) -> None:
    """A runtime's kind makes a call local, whatever the model is called; Ollama's cloud is not here."""
    terms = Terms(kind=kind, server_address=host)
    found = CALCULATOR.calculate_cost("mine", model, 1_000, 100, terms=terms)
    assert (found.source, found.cost_usd) == (source, Decimal(0) if source == "local" else None)


def test_searches_and_requests_are_billed_beside_the_tokens() -> None:
    """10 USD for a thousand searches; they are in the total and in neither part."""
    found = CALCULATOR.calculate_cost(
        "anthropic", "claude-opus-4-5", 1_000, 100, usage=Usage(web_searches=3), terms=Terms(at=AT)
    )
    assert (found.prompt_cost_usd, found.completion_cost_usd) == (Decimal("0.005"), Decimal("0.0025"))
    assert found.cost_usd == Decimal("0.0375")


def test_units_that_nobody_counts_make_a_cost_unknown() -> None:
    """Images that a model paints have a price of their own, and no usage here tells how many there were."""
    found = CALCULATOR.calculate_cost("openai", "gpt-image-1", 1_000, 100)
    assert (found.cost_usd, found.source) == (None, "unknown")


def test_cached_sound_has_no_known_price() -> None:
    """Nobody says how much of the sound came from the cache."""
    both = Usage(input_audio_tokens=10, cache_read_tokens=10)
    assert CALCULATOR.calculate_cost("google", "gemini-2.5-flash", 1_000, 100, usage=both).cost_usd is None


def test_nobody_else_changes_the_prices() -> None:
    """What another part of the program tells genai-prices is not ours."""
    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert CostCalculator().calculate_cost("openai", "gpt-5", 1_000, 100).cost_usd == Decimal("0.00225")
    finally:
        set_custom_snapshot(None)


def test_the_version_is_that_of_the_installed_list() -> None:
    """So that a figure of the log can be reckoned again."""
    found = CALCULATOR.calculate_cost("openai", "gpt-5", 1_000, 100)
    assert found.price_version == f"genai-prices {genai_prices.__version__}"
    assert CALCULATOR.tokens_per_dollar("openai", "gpt-5") == 100_000
    assert CALCULATOR.tokens_per_dollar("openai", "no-such-model") is None
    assert CALCULATOR.tokens_per_dollar("llamaserver", "any") == Decimal("Infinity")
