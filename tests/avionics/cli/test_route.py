"""`avionics route explain`: who would be asked, at what price, and who is passed over; nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner, Result

from avionics.cli.app import app
from avionics.settings import reset_settings

Run: TypeAlias = Callable[..., Result]

SETTINGS = {
    "agents": {"planner": {"route": "r", "temperature": 0.3}},
    "providers": {"openai": {"api_key": "sk-secret"}, "anthropic": {"api_key": "sk-secret"}, "openrouter": {}},
    "limits": {
        "budgets": [{"usd": 5, "per": "total"}],
        "rates": [{"requests_per_minute": 60, "provider": "openai"}],
    },
    "routing": {
        "routes": {
            "r": {
                "total": 60,
                "deployments": [
                    {"provider": "openai", "model": "gpt-4.1-mini"},
                    {"provider": "anthropic", "model": "claude-sonnet-4-5", "when": {"tags": ["eu"], "tenants": ["a"]}},
                    {"provider": "openrouter", "model": "some/model"},
                    {"provider": "llamaserver"},
                ],
            },
            "narrow": {"deployments": [{"provider": "llamaserver", "when": {"tags": ["eu"]}}]},
        }
    },
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `avionics route explain` with the settings of this file."""
    file = tmp_path / "avionics.yaml"
    file.write_text(json.dumps(SETTINGS), encoding="utf-8")  # JSON is YAML
    monkeypatch.setenv("AVIONICS_CONFIG", str(file))
    reset_settings()

    def run_command(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, ["route", "explain", *arguments], input=stdin, prog_name="avionics")

    return run_command


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def test_people_read_who_is_asked_in_which_order(run: Run) -> None:
    """Targets with number, address, price and limits; who cannot be asked and who is passed over, with the reason."""
    result = run("Why?", "--agent", "planner")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "Route r: 3 of 4 deployments would be asked, in order, within 60 s"
    first, second, third, excluded, whole = [
        paragraph.splitlines() for paragraph in "\n".join(lines[2:]).strip().split("\n\n")
    ]
    assert first[0].endswith("1 openai/gpt-4.1-mini")
    assert "sends POST https://api.openai.com/v1/chat/completions" in first
    assert "breaker closed" in first
    assert any(line.startswith("price $") for line in first)
    assert "limit 60 requests per minute (provider openai): 60 left" in first
    assert "needs a key" in second[1]
    assert third[0].endswith("3 llamaserver")
    assert "price $0" in third
    assert excluded[0].endswith("anthropic/claude-sonnet-4-5")
    assert excluded[1] == "passed over it is for calls with the tag eu"
    assert "limit 5 USD in total: 5 left" in whole
    assert "sk-secret" not in result.output


def test_scripts_get_the_same_with_the_bodies(run: Run) -> None:
    """Money is a text; what would be sent is there; a key never is."""
    answer = told(run("Why?", "--agent", "planner", "--json"))
    assert (answer["route"], answer["timeout"]) == ("r", 60)
    openai, openrouter, llama = answer["targets"]
    assert (openai["deployment"], openai["breaker"], openai["problem"]) == ("openai/gpt-4.1-mini", "closed", None)
    assert openai["request"]["body"] == {
        "messages": [{"role": "user", "content": "Why?"}],
        "model": "gpt-4.1-mini",
        "temperature": 0.3,
    }
    assert openai["request"]["timeouts"].keys() == {"connect", "first_event", "idle", "attempt", "total"}
    assert isinstance(openai["cost_high_usd"], str)
    assert openrouter["request"] is None
    assert llama["cost_high_usd"] == "0"
    assert answer["exclusions"] == [
        {"deployment": "anthropic/claude-sonnet-4-5", "reason": "it is for calls with the tag eu"}
    ]
    assert [state["left"] for state in answer["limits"]] == ["5"]
    assert "sk-secret" not in json.dumps(answer)


def test_circumstances_of_the_call_are_options(run: Run) -> None:
    """Tags and tenant open the way to a deployment that is for them; what it would not take is told."""
    for circumstances, asked in ((["--tag", "eu"], False), (["--tag", "eu", "--tag", "x", "--tenant", "a"], True)):
        answer = told(run("Why?", "--agent", "planner", "--json", *circumstances))
        names = [target["deployment"] for target in answer["targets"]]
        assert ("anthropic/claude-sonnet-4-5" in names) is asked
    answer = told(run("Why?", "-m", "r", "--json"))
    assert answer["route"] == "r"


def test_the_body_is_shown_on_demand(run: Run) -> None:
    """And only then."""
    assert '"messages"' not in run("Why?", "--agent", "planner").stdout
    assert '"content": "Why not?"' in run("Why not?", "--agent", "planner", "--body").stdout


def test_a_prompt_is_not_needed_and_may_be_piped_in(run: Run) -> None:
    """A longer one costs more."""
    short = told(run("--agent", "planner", "--json"))
    long = told(run("-", "--agent", "planner", "--json", stdin="Why? " * 1000))
    assert float(short["targets"][0]["cost_high_usd"]) < float(long["targets"][0]["cost_high_usd"])


def test_nobody_to_ask_is_exit_code_1(run: Run) -> None:
    """The only deployment is for other calls, and it says for which."""
    result = run("Why?", "-m", "narrow")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "it is for calls with the tag eu" in result.stdout


def test_a_call_that_makes_no_sense_is_exit_code_2(run: Run) -> None:
    """As it would be if it were made."""
    result = run(" ", "--agent", "planner")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "prompt must not be empty" in result.stderr
