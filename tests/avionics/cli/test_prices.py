"""What the command says of prices, and what it makes of the costs of logged calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import anyio
import genai_prices
import pytest
from typer.testing import CliRunner, Result

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.types import Usage
from avionics.calls import CallHistory, CallLog
from avionics.cli.app import app
from avionics.errors import LLMError
from avionics.llm import LLMGateway, MockProvider
from avionics.settings import Settings, reset_settings

Run = Callable[..., Result]

USAGE = Usage(input_tokens=1_000_000, output_tokens=100_000)  # gpt-4.1-mini: 0.40 and 1.60 USD a million
LIST = ["genai-prices", genai_prices.__version__]
CONFIG = """
providers:
  openai: {api_key: sk-marker-of-the-key, model: gpt-4.1-mini}
  box: {kind: llama_server, base_url: "http://10.0.0.7:8080", model: qwen3}
agents:
  default: {provider: openai}
  planner: {provider: openai, model: fast}
models:
  fast: {id: "openai:gpt-5-mini"}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file; its calls are logged beside it."""
    path = tmp_path / "avionics.yaml"
    path.write_text(f"database: {{url: 'sqlite:///{tmp_path}/calls.db'}}\n{CONFIG}")
    return path


@pytest.fixture
def run(config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `avionics prices` with these settings."""
    monkeypatch.setenv("AVIONICS_CONFIG", str(config))
    reset_settings()
    yield lambda *arguments: CliRunner().invoke(app, ["prices", *map(str, arguments)])
    reset_settings()


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


class TestCheck:
    """`avionics prices check`."""

    def test_every_model_that_the_settings_name_has_a_line(self, run: Run) -> None:
        """Of providers, of agents through their aliases, and of one's own hardware, with the source of each price."""
        result = run("check")
        assert result.exit_code == 0, result.output
        _, *lines, _ = [line.split() for line in result.output.splitlines()]
        assert (
            lines
            == [
                ["openai", "gpt-4.1-mini", "0.4", "1.6", *LIST],
                ["openai", "gpt-5-mini", "0.25", "2", *LIST],
                ["box", "qwen3", "0", "0", "local"],
            ]
            or lines[0][4] == "genai-prices"
        )
        assert "marker-of-the-key" not in result.output

    def test_an_unknown_price_is_an_exit_code(self, run: Run, config: Path) -> None:
        """And a word on what to do; one's own row is the remedy."""
        config.write_text(config.read_text().replace("gpt-4.1-mini", "gpt-no-such"))
        result = run("check")
        assert result.exit_code == 1
        assert "unknown" in result.output
        assert "state its price under 'prices'" in result.output
        config.write_text(
            config.read_text() + "prices: [{model: gpt-no-such, input_per_million: 1, output_per_million: 2}]\n"
        )
        reset_settings()
        assert run("check").exit_code == 0

    def test_own_prices_stand_beside_those_of_the_list(self, run: Run, tmp_path: Path) -> None:
        """Whoever states a price sees the list's, and which of the rows hold for nothing."""
        rows = write(
            tmp_path / "mine.yaml",
            "prices:\n"
            "  - {model: gpt-4.1-mini, input_per_million: 0.1, output_per_million: 0.2}\n"
            "  - {model: gpt-4.1-mini, service_tier: flex, input_per_million: 0.05}\n"
            "  - {provider: bxo, gpu_hour: 2.40}\n",
        )
        result = run("check", "--prices", rows)
        assert result.exit_code == 0
        assert "the list has 0.4 and 1.6" in result.output
        assert "a row holds for none of them: bxo: *" in result.output
        assert result.output.count("a row holds for none") == 1

    def test_scripts_get_json(self, run: Run) -> None:
        """Money is a text, so that no digit is lost."""
        first, *_, last = json.loads(run("check", "--json").output)
        assert (first["provider"], first["model"], first["source"]) == ("openai", "gpt-4.1-mini", "catalog")
        assert first["rates"]["input_per_million"] == "0.4"
        assert (last["provider"], last["source"], last["price_version"]) == ("box", "local", None)

    def test_a_mistake_in_a_table_is_one_clear_error(self, run: Run, tmp_path: Path) -> None:
        """With the exit code of wrong usage."""
        result = run("check", "--prices", write(tmp_path / "mine.yaml", "prices: [{model: m, input: 1}]\n"))
        assert result.exit_code == 2
        assert "prices.0.input" in result.stderr


def log_call(config: Path, *steps: Step, model: str = "gpt-4.1-mini") -> None:
    """Makes a call of OpenAI, and logs it."""

    async def call() -> None:
        settings = Settings(config=config)
        provider = MockProvider(steps, name="openai", default_model=model)
        async with LLMGateway(settings, [], observers=[CallLog(settings)], providers={"openai": provider}) as gateway:
            with suppress(LLMError):
                async for _ in gateway.complete_stream("Why? " * 100, max_tokens=1_000):
                    pass

    anyio.run(call)


def costs(config: Path) -> list[tuple[Decimal | None, str]]:
    with CallHistory(Settings(config=config)) as history:
        return [(attempt.cost_usd, attempt.cost_source) for attempt in history.attempts()]


class TestReprice:
    """`avionics prices reprice`."""

    def test_logged_calls_are_priced_by_another_table(self, run: Run, config: Path, tmp_path: Path) -> None:
        """The attempts and their calls follow; a dry run shows the same and changes nothing."""
        log_call(config, Answer(text="Because", usage=USAGE))
        assert costs(config) == [(Decimal("0.56"), "catalog")]
        rows = write(tmp_path / "mine.yaml", "prices: [{model: gpt*, input_per_million: 1, output_per_million: 10}]\n")
        assert (
            "1 attempts would be priced anew: $0.560 becomes $2.00"
            in run("reprice", "--prices", rows, "--dry-run").output
        )
        assert costs(config) == [(Decimal("0.56"), "catalog")]
        assert "1 attempts are priced anew: $0.560 becomes $2.00" in run("reprice", "--prices", rows).output
        assert costs(config) == [(Decimal(2), "user")]
        with CallHistory(Settings(config=config)) as history:
            assert [call.cost_usd for call in history.calls()] == [Decimal(2)]
        assert "0 attempts are priced anew" in run("reprice", "--prices", rows).output
        assert "becomes $0.560" in run("reprice").output
        assert costs(config) == [(Decimal("0.56"), "catalog")]

    def test_what_the_backend_reported_stays(self, run: Run, config: Path, tmp_path: Path) -> None:
        """Who sends the bill knows best, afterwards too."""
        log_call(config, Answer(text="Because", usage=USAGE, reported_cost=Decimal("0.5")))
        rows = write(tmp_path / "mine.yaml", "prices: [{input_per_million: 1, output_per_million: 10}]\n")
        assert "0 attempts" in run("reprice", "--prices", rows).output
        assert costs(config) == [(Decimal("0.5"), "provider")]

    def test_an_estimate_keeps_its_bounds(self, run: Run, config: Path, tmp_path: Path) -> None:
        """They move with it: a cut answer at ten times the price may have cost ten times as much."""
        log_call(config, Failure(ErrorCategory.CONNECTION, chunks=["Be", "cause"]))
        with CallHistory(Settings(config=config)) as history:
            (before,) = history.attempts()
        rows = write(tmp_path / "mine.yaml", "prices: [{input_per_million: 4, output_per_million: 16}]\n")
        run("reprice", "--prices", rows)
        with CallHistory(Settings(config=config)) as history:
            (after,) = history.attempts()
        assert before.cost_low_usd is not None
        assert before.cost_usd is not None
        assert before.cost_high_usd is not None
        assert after.cost_usd == before.cost_usd * 10
        assert after.cost_low_usd == before.cost_low_usd * 10
        assert after.cost_high_usd == before.cost_high_usd * 10
        assert before.cost_low_usd < before.cost_usd < before.cost_high_usd

    def test_an_unknown_cost_becomes_known(self, run: Run, config: Path, tmp_path: Path) -> None:
        """Which is what one states prices for; the JSON tells both figures."""
        log_call(config, Answer(text="Because", usage=USAGE), model="gpt-no-such")
        assert costs(config) == [(None, "unknown")]
        rows = write(tmp_path / "mine.yaml", "prices: [{input_per_million: 1, output_per_million: 10}]\n")
        (change,) = json.loads(run("reprice", "--prices", rows, "--json").output)
        assert (change["before"]["cost_usd"], change["after"]["cost_usd"]) == (None, "2")
        assert change["after"]["source"] == "user"
        assert costs(config) == [(Decimal(2), "user")]

    def test_only_the_calls_of_that_time_are_touched(self, run: Run, config: Path, tmp_path: Path) -> None:
        """`--until` a day before them finds none; nonsense is an error of usage."""
        log_call(config, Answer(text="Because", usage=USAGE))
        rows = write(tmp_path / "mine.yaml", "prices: [{input_per_million: 1, output_per_million: 10}]\n")
        assert "0 attempts" in run("reprice", "--prices", rows, "--until", "1d").output
        assert run("reprice", "--since", "yesterday").exit_code == 2
        assert "1 attempts" in run("reprice", "--prices", rows, "--since", "1d").output
