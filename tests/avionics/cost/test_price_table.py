"""The user's own prices: for whom they hold, from when, and what they cost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from airframe.types import Usage
from avionics.errors import ConfigurationError
from avionics.llm.cost_calculator import CostCalculator, CostMetrics, Terms
from avionics.llm.prices import PriceTable
from avionics.settings import ModelSettings, PriceRow, PriceSettings, Settings

ROWS = [
    PriceRow(input_per_million=Decimal(9), output_per_million=Decimal(9)),
    PriceRow(model="qwen*", input_per_million=Decimal(1), output_per_million=Decimal(2)),
    PriceRow(model="qwen3*", input_per_million=Decimal(3), output_per_million=Decimal(4)),
    PriceRow(model="qwen3:4b", input_per_million=Decimal(5), output_per_million=Decimal(6)),
    PriceRow(provider="box", input_per_million=Decimal(7), output_per_million=Decimal(8)),
]


def cost(table: PriceTable, provider: str, model: str, usage: Usage, terms: Terms | None = None) -> CostMetrics:
    return CostCalculator(table).calculate_cost(
        provider, model, usage.input_tokens, usage.output_tokens, usage=usage, terms=terms
    )


MILLIONS = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


@pytest.mark.parametrize(
    ("provider", "model", "usd"),
    [
        ("other", "llama", 18),
        ("other", "qwen2", 3),
        ("other", "Qwen3:32b", 7),
        ("other", "qwen3:4b", 11),
        ("box", "qwen3:4b", 15),
    ],
)
def test_the_closest_row_wins(provider: str, model: str, usd: int) -> None:
    """A deployment over any, a name over its beginning, a longer beginning over a shorter; case does not matter."""
    found = cost(PriceTable(ROWS), provider, model, MILLIONS)
    assert (found.cost_usd, found.source) == (Decimal(usd), "user")
    assert found.price_version == PriceTable(ROWS).version


def test_user_prices_win_over_the_list_and_over_free() -> None:
    """Both a vendor's model and one's own hardware cost what the user says."""
    table = PriceTable([PriceRow(input_per_million=Decimal(1), output_per_million=Decimal(1))])
    assert cost(table, "openai", "gpt-5", MILLIONS).cost_usd == 2
    assert cost(table, "llamaserver", "tiny", MILLIONS).cost_usd == 2
    free = PriceTable([PriceRow(input_per_million=Decimal(0), output_per_million=Decimal(0))])
    assert cost(free, "openai", "gpt-5", MILLIONS).cost_usd == 0


def test_a_row_for_a_kind_holds_for_every_provider_of_it() -> None:
    """The same rate for every Ollama, whatever it is called."""
    table = PriceTable([PriceRow(provider="ollama", input_per_million=Decimal(1), output_per_million=Decimal(1))])
    assert cost(table, "attic", "m", MILLIONS, Terms(kind="ollama")).cost_usd == 2
    assert cost(table, "attic", "m", MILLIONS, Terms(kind="mlx")).source == "local"


TIERED = PriceTable(
    [
        PriceRow(model="m", input_per_million=Decimal(10), output_per_million=Decimal(100)),
        PriceRow(model="m", since=datetime(2026, 6, 1, tzinfo=UTC).date(), input_per_million=Decimal(8)),
        PriceRow(model="m", above=1_000, input_per_million=Decimal(20)),
        PriceRow(model="m", service_tier="batch", output_per_million=Decimal(50)),
    ]
)


@pytest.mark.parametrize(
    ("day", "tokens", "tier", "prompt", "completion"),
    [
        ("2026-05-31T23:59:59", 1_000, None, "0.01", "0.1"),
        ("2026-06-01T00:00:00", 1_000, None, "0.008", "0.1"),
        ("2026-06-01T00:00:00", 1_001, "default", "0.02002", "0.1"),
        ("2026-06-01T00:00:00", 1_000, "batch", "0.008", "0.05"),
    ],
)
def test_rows_for_the_same_model_are_laid_over_each_other(
    day: str, tokens: int, tier: str | None, prompt: str, completion: str
) -> None:
    """From a day on, for long prompts and in a tier, a row states only what is different."""
    terms = Terms(at=datetime.fromisoformat(f"{day}+00:00"), service_tier=tier)
    found = cost(TIERED, "x", "m", Usage(input_tokens=tokens, output_tokens=1_000), terms)
    assert (found.prompt_cost_usd, found.completion_cost_usd) == (Decimal(prompt), Decimal(completion))


def test_every_part_has_its_own_rate() -> None:
    """Caches, hours in them, sound, reasoning, searches and requests are each charged once."""
    row = PriceRow(
        input_per_million=Decimal(1),
        cache_read_per_million=Decimal("0.1"),
        cache_write_per_million=Decimal(2),
        cache_write_1h_per_million=Decimal(3),
        output_per_million=Decimal(10),
        reasoning_per_million=Decimal(20),
        output_audio_per_million=Decimal(40),
        web_search_per_thousand=Decimal(5),
        request_per_thousand=Decimal(7),
    )
    usage = Usage(
        input_tokens=1_000_000,
        cache_read_tokens=400_000,
        cache_write_tokens=300_000,
        cache_write_1h_tokens=100_000,
        output_tokens=1_000_000,
        reasoning_tokens=250_000,
        output_audio_tokens=100_000,
        web_searches=2,
    )
    found = cost(PriceTable([row]), "x", "m", usage)
    prompt = Decimal("0.3") + Decimal("0.04") + Decimal("0.4") + Decimal("0.3")
    completion = Decimal("6.5") + Decimal(5) + Decimal(4)
    assert (found.prompt_cost_usd, found.completion_cost_usd) == (prompt, completion)
    assert found.cost_usd == prompt + completion + Decimal("0.010") + Decimal("0.007")


def test_a_part_without_a_rate_costs_what_the_rest_does() -> None:
    """Who states two rates has stated them for caches, sound and reasoning, too."""
    usage = Usage(input_tokens=1_000_000, output_tokens=0, cache_read_tokens=900_000, input_audio_tokens=900_000)
    table = PriceTable([PriceRow(input_per_million=Decimal(1))])
    assert cost(table, "x", "m", usage).cost_usd == 1


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=1, output_tokens=1),  # no rate for the answer
        Usage(input_tokens=None, output_tokens=0),
        Usage(input_tokens=1, output_tokens=0, web_searches=1),  # no rate for searches
    ],
)
def test_what_has_no_rate_is_unknown(usage: Usage) -> None:
    """Unknown is not free, also where some rates are stated."""
    found = cost(PriceTable([PriceRow(input_per_million=Decimal(1))]), "x", "m", usage)
    assert (found.cost_usd, found.source) == (None, "unknown")


def test_hardware_is_paid_by_the_hour() -> None:
    """Two GPUs at 2.40 an hour that answer four at a time: 30 seconds cost a cent. Without the time, unknown."""
    table = PriceTable([PriceRow(provider="box", gpu_hour=Decimal("2.40"), gpus=2, concurrency=4)])
    found = cost(table, "box", "qwen", MILLIONS, Terms(kind="llama_server", seconds=30.0))
    assert (found.cost_usd, found.prompt_cost_usd, found.source) == (Decimal("0.01"), Decimal(0), "user")
    assert cost(table, "box", "qwen", MILLIONS, Terms(kind="llama_server")).cost_usd is None


def test_the_backend_s_own_report_wins() -> None:
    """Who sends the bill knows best, also better than the user."""
    found = CostCalculator(PriceTable(ROWS)).calculate_cost("box", "m", 1, 1, reported_cost=Decimal("0.5"))
    assert (found.cost_usd, found.source, found.price_version) == (Decimal("0.5"), "provider", None)


def test_the_version_changes_with_the_rows() -> None:
    """Figures of two tables are told apart."""
    versions = {PriceTable(ROWS[:count]).version for count in range(len(ROWS))}
    assert len(versions) == len(ROWS)
    assert PriceTable(list(ROWS)).version == PriceTable(ROWS).version


def test_settings_state_prices_in_rows_and_at_models() -> None:
    """An entry of `models` has its own price, or says under which name the list has it."""
    settings = Settings(
        prices=[{"provider": "box", "input_per_million": "0.5", "output_per_million": "1"}],
        models={
            "fast": ModelSettings(
                id="openai:gpt-9", price=PriceSettings(input_per_million=Decimal(1), output_per_million=Decimal(1))
            ),
            "our-deployment": {"spec": {"priced_as": "openai:gpt-5"}},
        },
    )
    calculator = CostCalculator.from_settings(settings)

    def usd(provider: str, model: str) -> Decimal | None:
        return calculator.calculate_cost(provider, model, 1_000_000, 0).cost_usd

    assert usd("box", "any") == Decimal("0.5")
    assert usd("openai", "gpt-9") == 1
    assert usd("azure", "gpt-9") is None
    assert usd("azure", "our-deployment") == Decimal("1.25")


def test_a_table_may_be_a_file_of_its_own(tmp_path: Path) -> None:
    """YAML with exact decimals; a price of 0.1 is a tenth."""
    path = tmp_path / "prices.yaml"
    path.write_text("prices:\n  - {model: gpt*, input_per_million: 0.1, output_per_million: 0.2}\n")
    assert cost(PriceTable.read(path), "openai", "gpt-5", MILLIONS).cost_usd == Decimal("0.3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: {}\n", "prices.yaml: there are no prices; put a list of rows under 'prices:'"),
        (
            "prices:\n  - {input: 1}\n",
            "prices.yaml, line 2): there is no such setting; known are above, cache_read_per_million",
        ),
        (
            "prices:\n  - model: m\n    input_per_million: -1\n",
            "prices.0.input_per_million (PATH/prices.yaml, line 3): input should be greater than or equal to 0",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """One clear error, with the field, the line and what is expected."""
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        PriceTable.read(path)
    assert message.replace("PATH", str(tmp_path)) in str(caught.value)
