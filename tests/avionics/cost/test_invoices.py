"""Invoices reckoned by hand: one call of each provider and tier, at the vendors' published prices of 20 November 2026.

Each row says who was asked and what was used; the sum is written out as the invoice would, in USD for a million tokens.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from airframe.types import Usage
from avionics.llm.cost_calculator import CostCalculator, Terms

M = Decimal(1_000_000)
NOON, MIDNIGHT = datetime(2026, 11, 20, 12, tzinfo=UTC), datetime(2026, 11, 20, 0, 29, tzinfo=UTC)

OPENAI = Usage(input_tokens=12_000, cache_read_tokens=10_000, output_tokens=700, reasoning_tokens=500)
LONG = Usage(input_tokens=300_000, cache_read_tokens=200_000, output_tokens=700)
SOUND = Usage(input_tokens=500, input_audio_tokens=400, output_tokens=300, output_audio_tokens=250)
SEARCHED = Usage(input_tokens=8_000, output_tokens=400, web_searches=2)
CLAUDE = Usage(
    input_tokens=20_000,
    cache_read_tokens=12_000,
    cache_write_tokens=6_000,
    cache_write_1h_tokens=1_000,
    output_tokens=900,
)
PLAIN = Usage(input_tokens=12_345, output_tokens=678)
CACHED = Usage(input_tokens=12_345, cache_read_tokens=10_000, output_tokens=678)


def d(text: str) -> Decimal:
    return Decimal(text)


@pytest.mark.parametrize(
    ("kind", "host", "model", "tier", "usage", "invoice"),
    [
        # OpenAI, gpt-5.4: 2.50 in, 0.25 cached, 15 out; flex half of it (0.13 cached), priority and fast the double.
        (
            "openai",
            "api.openai.com",
            "gpt-5.4-2026-03-05",
            "default",
            OPENAI,
            (2_000 * d("2.5") + 10_000 * d("0.25") + 700 * 15) / M,
        ),
        (
            "openai",
            "api.openai.com",
            "gpt-5.4",
            "flex",
            OPENAI,
            (2_000 * d("1.25") + 10_000 * d("0.13") + 700 * d("7.5")) / M,
        ),
        ("openai", "api.openai.com", "gpt-5.4", "priority", OPENAI, (2_000 * 5 + 10_000 * d("0.5") + 700 * 30) / M),
        ("openai", "api.openai.com", "gpt-5.4", "fast", OPENAI, (2_000 * 5 + 10_000 * d("0.5") + 700 * 30) / M),
        (
            "openai",
            "api.openai.com",
            "gpt-5.4",
            "batch",
            OPENAI,
            (2_000 * d("1.25") + 10_000 * d("0.13") + 700 * d("7.5")) / M,
        ),
        # Beyond 272,000 tokens of prompt: 5 in, 0.50 cached, 22.50 out, for all of them; in a batch half.
        (
            "openai",
            "api.openai.com",
            "gpt-5.4",
            "default",
            LONG,
            (100_000 * 5 + 200_000 * d("0.5") + 700 * d("22.5")) / M,
        ),
        (
            "openai",
            "api.openai.com",
            "gpt-5.4",
            "batch",
            LONG,
            (100_000 * d("2.5") + 200_000 * d("0.25") + 700 * d("11.25")) / M,
        ),
        # Sound, gpt-audio: text 2.50 and 10, sound 32 and 64.
        ("openai", "api.openai.com", "gpt-audio", None, SOUND, (100 * d("2.5") + 400 * 32 + 50 * 10 + 250 * 64) / M),
        # Searches: 10 for a thousand, beside the tokens.
        ("openai", "api.openai.com", "gpt-5.4", "default", SEARCHED, (8_000 * d("2.5") + 400 * 15) / M + 2 * d("0.01")),
        # Azure OpenAI, gpt-5: OpenAI's list, 1.25 in, 0.125 cached, 10 out.
        (
            "azure",
            "mine.openai.azure.com",
            "gpt-5-2025-08-07",
            "default",
            OPENAI,
            (2_000 * d("1.25") + 10_000 * d("0.125") + 700 * 10) / M,
        ),
        # Anthropic, claude-opus-4-6: 5 in, 0.50 read, 6.25 written, 10 for an hour, 25 out; in a batch half.
        (
            "anthropic",
            "api.anthropic.com",
            "claude-opus-4-6",
            "standard",
            CLAUDE,
            (2_000 * 5 + 12_000 * d("0.5") + 5_000 * d("6.25") + 1_000 * 10 + 900 * 25) / M,
        ),
        (
            "anthropic",
            "api.anthropic.com",
            "claude-opus-4-6",
            "batch",
            CLAUDE,
            (2_000 * d("2.5") + 12_000 * d("0.25") + 5_000 * d("3.125") + 1_000 * 5 + 900 * d("12.5")) / M,
        ),
        # In the fast mode, claude-fable-5-2: 16 in, 0.40 read, 20 written, 32 for an hour, 80 out.
        (
            "anthropic",
            "api.anthropic.com",
            "claude-fable-5-2",
            "fast",
            CLAUDE,
            (2_000 * 16 + 12_000 * d("0.4") + 5_000 * 20 + 1_000 * 32 + 900 * 80) / M,
        ),
        # Claude at Azure: Anthropic's list.
        ("anthropic", "mine.services.ai.azure.com", "claude-opus-4-6", "standard", PLAIN, (12_345 * 5 + 678 * 25) / M),
        # OpenAI-compatible vendors are known by their hosts.
        (
            "openai_compatible",
            "generativelanguage.googleapis.com",
            "gemini-2.5-pro",
            None,
            CACHED,
            (2_345 * d("1.25") + 10_000 * d("0.125") + 678 * 10) / M,
        ),
        (
            "openai_compatible",
            "generativelanguage.googleapis.com",
            "gemini-2.5-pro",
            None,
            LONG,
            (100_000 * d("2.5") + 200_000 * d("0.25") + 700 * 15) / M,
        ),
        (
            "openai_compatible",
            "api.groq.com",
            "openai/gpt-oss-120b",
            "batch",
            PLAIN,
            (12_345 * d("0.075") + 678 * d("0.3")) / M,
        ),
        (
            "openai_compatible",
            "api.mistral.ai",
            "mistral-large-2512",
            None,
            CACHED,
            (2_345 * d("0.5") + 10_000 * d("0.05") + 678 * d("1.5")) / M,
        ),
        (
            "openai_compatible",
            "api.x.ai",
            "grok-4.20",
            None,
            CACHED,
            (2_345 * d("1.25") + 10_000 * d("0.2") + 678 * d("2.5")) / M,
        ),
        ("openai_compatible", "api.x.ai", "grok-4.20", "batch", CACHED, (2_345 + 10_000 * d("0.16") + 678 * 2) / M),
        ("openai_compatible", "api.cohere.com", "command-a", None, PLAIN, (12_345 * d("2.5") + 678 * 10) / M),
        # Perplexity, sonar: 1 in, 1 out, and 12 for a thousand requests.
        ("openai_compatible", "api.perplexity.ai", "sonar", None, PLAIN, (12_345 + 678) / M + d("0.012")),
        # OpenRouter's list, for answers that tell no cost.
        (
            "openrouter",
            "openrouter.ai",
            "openai/gpt-5",
            None,
            CACHED,
            (2_345 * d("1.25") + 10_000 * d("0.125") + 678 * 10) / M,
        ),
        # What runs on one's own hardware.
        ("llama_server", "127.0.0.1", "qwen3-4b", None, PLAIN, d("0")),
        ("ollama", "10.0.0.7", "qwen3:4b", None, PLAIN, d("0")),
        ("lm_studio", "127.0.0.1", "qwen3-4b", None, PLAIN, d("0")),
        ("mlx", "127.0.0.1", "qwen3-4b", None, PLAIN, d("0")),
        ("llama_cpp", "127.0.0.1", "tiny", None, PLAIN, d("0")),
    ],
)
def test_the_invoice(kind: str, host: str, model: str, tier: str | None, usage: Usage, invoice: Decimal) -> None:
    """What is reckoned by hand is what is billed, to the last digit."""
    terms = Terms(kind=kind, server_address=host, at=NOON, service_tier=tier)
    found = CostCalculator().calculate_cost(
        "mine", model, usage.input_tokens, usage.output_tokens, usage=usage, terms=terms
    )
    assert found.cost_usd == invoice


def test_the_invoice_of_who_reports_it() -> None:
    """OpenRouter says what it takes, discounts and all; that is the cost, whatever the list says."""
    found = CostCalculator().calculate_cost(
        "openrouter", "openai/gpt-5", 12_345, 678, reported_cost=Decimal("0.0098765")
    )
    assert (found.cost_usd, found.source) == (Decimal("0.0098765"), "provider")


@pytest.mark.parametrize(("at", "invoice"), [(MIDNIGHT, "0.000955"), (NOON, "0.00191")])
def test_the_invoice_of_the_night(at: datetime, invoice: str) -> None:
    """DeepSeek's 0.27 and 1.10 USD hold from 00:30 to 16:30 UTC; at other hours it is half of that."""
    terms = Terms(kind="openai_compatible", server_address="api.deepseek.com", at=at)
    found = CostCalculator().calculate_cost("mine", "deepseek-chat", 3_000, 1_000, terms=terms)
    assert found.cost_usd == Decimal(invoice)
