"""`avionics stats`: how each deployment fared in logged calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest
from typer.testing import CliRunner, Result

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import Usage
from avionics.calls import CallLog
from avionics.cli.app import app
from avionics.llm import CostCalculator, LLMGateway
from avionics.llm.prices import PriceTable
from avionics.llm.providers import MockProvider
from avionics.settings import PriceRow, Settings, reset_settings

Run: TypeAlias = Callable[..., Result]

ANSWER = Answer(text="a", usage=Usage(input_tokens=3, output_tokens=5))
PRICE = PriceRow(provider="openai", input_per_million=Decimal(1_000_000), output_per_million=Decimal(0))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `avionics stats` on a database of the test's own."""
    monkeypatch.setenv("AVIONICS_DATABASE__URL", f"sqlite:///{tmp_path}/calls.db")
    reset_settings()
    return lambda *arguments: CliRunner().invoke(app, ["stats", *arguments], prog_name="avionics")


@pytest.fixture
def calls(run: Run) -> None:
    """Three calls: an answer, one that a fallback saved, one whose price nobody knows."""
    del run  # its database is the one that is written to
    settings = Settings(llm_provider="openai")
    scripts: dict[str, list[Answer | Failure]] = {
        "openai": [ANSWER, Failure(ErrorCategory.RATE_LIMIT)],
        "[mine]": [ANSWER, ANSWER],
    }

    async def make_calls() -> None:
        log = CallLog(settings)
        providers = {name: MockProvider(script, name=name, default_model="[b]m[/]") for name, script in scripts.items()}
        gateway = LLMGateway(
            settings,
            ["[mine]"],
            observers=[log],
            providers=providers,
            cost_calculator=CostCalculator(PriceTable([PRICE])),
        )
        await gateway.complete("Why?")
        await gateway.complete("Why?")
        await gateway.complete("Why?", provider="[mine]")
        log.close()

    anyio.run(make_calls)


@pytest.mark.usefixtures("calls")
def test_scripts_get_every_figure(run: Run) -> None:
    """Counts, errors by category, times in seconds, money as a text, the breaker."""
    result = run("--json")
    assert result.exit_code == 0, result.stderr
    mine, openai = json.loads(result.stdout)
    assert (mine["deployment"], mine["exchanges"], mine["answers"], mine["without_cost"]) == ("[mine]", 2, 2, 2)
    assert (openai["deployment"], openai["exchanges"], openai["answers"]) == ("openai", 2, 1)
    assert openai["errors"] == {"rate_limit": 1}
    assert openai["spent_usd"] == "3"
    assert openai["breaker"] == "closed"
    assert openai["latency"].keys() == openai["first_event"].keys() == {"p50", "p95"}


@pytest.mark.usefixtures("calls")
def test_people_read_a_table(run: Run) -> None:
    """A row for each deployment, its errors below, and a total; names are not taken for markup."""
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    rows = {line[0]: line for line in lines if line}
    assert rows["[mine]"][1] == "2"
    assert rows["openai"][1:3] == ["2", "1"]
    assert ["1", "rate_limit"] in [line[:2] for line in lines]
    assert rows["total"][1:4] == ["4", "1", "$3.00"]
    assert "2 unknown" in result.stdout
    assert "closed" in rows["openai"]


@pytest.mark.usefixtures("calls")
def test_the_time_may_be_narrowed(run: Run) -> None:
    """Only calls of then are counted; a wrong time names the option."""
    assert json.loads(run("--since", "1h", "--json").stdout) != []
    assert json.loads(run("--until", "2020-01-01", "--json").stdout) == []
    result = run("--since", "yesterday")
    assert result.exit_code == 2
    assert "--since" in result.stderr


def test_an_empty_log_says_so(run: Run) -> None:
    """There is nothing to show."""
    result = run()
    assert (result.exit_code, result.stdout) == (0, "No call was logged.\n")
