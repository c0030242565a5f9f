"""`avionics experiments report`: what a person sees, what a script gets, and what is said of a wrong name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from typer.testing import CliRunner, Result

from airframe.testing import Answer
from airframe.types import Usage
from avionics.calls import CallLog
from avionics.cli.app import app
from avionics.llm import LLMGateway
from avionics.llm.experiments.assignment import choose
from avionics.llm.providers import MockProvider
from avionics.settings import Settings, reset_settings

Run: TypeAlias = Callable[..., Result]

ANSWER = Answer(text="Because.", usage=Usage(input_tokens=10, output_tokens=10))
SESSIONS = 24


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An experiment of two variants, of which the second has a shadow."""
    file = tmp_path / "avionics.yaml"
    file.write_text(
        "experiments:\n"
        "  tone:\n"
        "    variants: [{name: plain}, {name: '2nd', provider: ollama}]\n"
        "    shadow: {to: '2nd', share: 1, patience: 60, concurrency: 100}\n"
        f"database: {{url: 'sqlite:///{tmp_path}/calls.db'}}\n",
        encoding="utf-8",
    )
    return Settings(config=file)


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command with these settings."""
    monkeypatch.setenv("AVIONICS_CONFIG", str(settings.config))
    reset_settings()
    return lambda *arguments: CliRunner().invoke(app, arguments, prog_name="avionics")


@pytest.fixture
def calls(settings: Settings) -> None:
    """Calls of some sessions; those of the second variant were not liked."""

    async def make_calls() -> None:
        providers = {
            "llamaserver": MockProvider([ANSWER] * SESSIONS, name="llamaserver", default_model="m"),
            "ollama": MockProvider([ANSWER] * 2 * SESSIONS, name="ollama", default_model="m"),
        }
        async with LLMGateway(settings, observers=[CallLog(settings)], providers=providers) as gateway:
            for number in range(SESSIONS):
                response = await gateway.complete("Why?", session_id=str(number))
                gateway.record_feedback(response.call_id, "[red]liked", response.provider == "llamaserver")
                gateway.record_feedback(response.call_id, "length", number)

    anyio.run(make_calls)


def as_json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_people_see_the_variants_their_figures_and_what_they_are_worth(run: Run, calls: None) -> None:
    """The first of the settings is the control, whatever its name; names are shown as they are."""
    result = run("experiments", "report", "tone")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[0] for row in rows[1:4]] == ["plain", "2nd", "shadow:2nd"]
    assert "[red]liked" in result.stdout
    assert "2nd, [red]liked: smaller than the control's." in result.stdout
    assert "fewer than 30 are few" in result.stdout


def test_scripts_get_all_of_it(run: Run, calls: None) -> None:
    """Figures as numbers; what is not known is null."""
    report = as_json(run("experiments", "report", "tone", "--json"))
    plain, second, shadow = report["variants"]
    assert (report["experiment"], report["control"]) == ("tone", "plain")
    assert plain["calls"] + second["calls"] == SESSIONS
    assert shadow["calls"] == plain["calls"]
    assert plain["feedback"]["[red]liked"]["mean"]["value"] == 1
    assert plain["feedback"]["[red]liked"]["difference"] is None
    liked = second["feedback"]["[red]liked"]["difference"]
    assert liked["value"] == -1
    assert liked["low"] < liked["high"] < 0
    assert shadow["feedback"] == {}
    assert plain["cost_usd"]["mean"] == {"value": 0, "low": None, "high": None, "count": plain["calls"]}


def test_one_metric_and_another_control_may_be_asked_for(run: Run, calls: None) -> None:
    """And calls of a time."""
    report = as_json(run("experiments", "report", "tone", "--metric", "length", "--control", "2nd", "--json"))
    assert [each["variant"] for each in report["variants"]] == ["2nd", "plain", "shadow:2nd"]
    assert [set(each["feedback"]) for each in report["variants"]] == [{"length"}, {"length"}, set()]
    assert as_json(run("experiments", "report", "tone", "--until", "1d", "--json"))["variants"] == []


def test_an_experiment_without_calls_is_said_to_have_none(run: Run) -> None:
    """That is no mistake: it has only begun."""
    result = run("experiments", "report", "tone")
    assert (result.exit_code, result.stdout) == (0, "No call of this experiment is in the log.\n")


def test_a_wrong_name_is_a_mistake(run: Run) -> None:
    """The message has the names that there are."""
    result = run("experiments", "report", "tune")
    assert result.exit_code == 2
    assert "'tune' is no experiment of the settings (known: tone) nor of the log" in result.output


@pytest.mark.parametrize("session", ["anna", "bert", "carl", "dora"])
def test_what_becomes_of_a_session_can_be_asked(run: Run, session: str) -> None:
    """`avionics route explain --session` tells the variant, and whom that asks."""
    explained = as_json(run("route", "explain", "--session", session, "--json"))
    variant = choose("tone", {"plain": 1, "2nd": 1}, session)
    assert explained["variant"] == f"tone/{variant}"
    assert explained["targets"][0]["provider"] == {"plain": "llamaserver", "2nd": "ollama"}[variant]
    assert f"as tone/{variant}" in run("route", "explain", "--session", session).stdout
