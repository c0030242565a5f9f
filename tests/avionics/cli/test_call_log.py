"""`avionics usage`, `logs` and `whatif`: what can be asked of logged calls, on the command line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from typer.testing import CliRunner, Result

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import Usage
from avionics.calls import CallHistory, CallLog
from avionics.cli.app import app
from avionics.llm import LLMGateway
from avionics.llm.providers import MockProvider
from avionics.settings import Settings, reset_settings

Run: TypeAlias = Callable[..., Result]

LARGE = Answer(text="Because.", usage=Usage(input_tokens=10_000, output_tokens=1_000), model="gpt-4.1")
SMALL = Answer(text="So.", usage=Usage(input_tokens=10_000, output_tokens=1_000), model="gpt-4.1-mini")
UNPRICED = Answer(text="Who knows.", usage=Usage(input_tokens=5, output_tokens=5), model="nobody-lists-this")

# 2.00 and 8.00 USD for a million tokens of gpt-4.1, 0.40 and 1.60 of gpt-4.1-mini.
LARGE_COST, SMALL_COST = "0.028", "0.0056"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database={"url": f"sqlite:///{tmp_path}/calls.db"}, call_log={"capture_content": True})


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on the database of `settings`."""
    assert settings.database.url is not None
    monkeypatch.setenv("AVIONICS_DATABASE__URL", settings.database.url.get_secret_value())
    reset_settings()

    def run_command(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, prog_name="avionics")

    return run_command


@pytest.fixture
def calls(settings: Settings) -> list[str]:
    """The ids of four logged calls: of a large and a small model, with a fallback, and one at an unknown price."""

    async def make_calls() -> list[str]:
        log = CallLog(settings)
        busy = Failure(ErrorCategory.RATE_LIMIT, code="slow_down")
        providers = {
            "openai": MockProvider([LARGE, SMALL, busy, UNPRICED], name="openai", default_model="gpt-4.1"),
            "llamaserver": MockProvider([SMALL], name="llamaserver", default_model="tiny"),
        }
        gateway = LLMGateway(Settings(llm_provider="openai"), ["llamaserver"], observers=[log], providers=providers)
        ids: list[str] = []
        for agent in ("planner", "planner", "[red]critic", None):
            model = None if agent else "nobody-lists-this"
            response = await gateway.complete("What is [bold]up[/]?", agent_name=agent, tenant="acme", model=model)
            ids.append(str(response.metadata["call_id"]))
        log.close()
        return ids

    return anyio.run(make_calls)


def as_json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class TestUsage:
    """Sums."""

    def test_json_has_the_sums_and_what_is_unknown(self, run: Run, calls: list[str]) -> None:
        """Money is text, and the price that nobody knows is counted."""
        usage = as_json(run("usage", "--by", "agent", "--json"))
        by_key = {group["key"]: group for group in usage["groups"]}
        assert by_key["planner"]["cost_usd"] == "0.0336"
        assert (by_key[None]["cost_usd"], by_key[None]["unpriced"]) == ("0", 1)
        assert (usage["total"]["calls"], usage["total"]["attempts"], usage["total"]["unpriced"]) == (4, 5, 1)
        assert usage["total"]["input_tokens"] == 30_005

    @pytest.mark.parametrize("by", ["agent", "model", "provider", "tenant", "day"])
    @pytest.mark.parametrize("form", [[], ["--plot"]])
    def test_people_see_every_group_the_sum_and_what_it_is_worth(
        self, run: Run, calls: list[str], by: str, form: list[str]
    ) -> None:
        """As a table or as bars; names are shown as they are."""
        keys = [group["key"] for group in as_json(run("usage", "--by", by, "--json"))["groups"]]
        shown = run("usage", "--by", by, *form).stdout
        assert [key for key in keys if (key or "(none)") not in shown] == []
        assert "$0.0336" in shown
        assert "The cost of 1 attempts is unknown and not in the sum." in shown

    def test_what_is_unknown_does_not_look_free(self, run: Run, calls: list[str], tmp_path: Path) -> None:
        """A model without a known price costs a question mark, one's own hardware costs nothing."""
        costs = {line.split()[0]: line.split()[6] for line in run("usage").stdout.splitlines()[1:-1]}
        assert (costs["nobody-lists-this"], costs["tiny"], costs["total"]) == ("?", "$0", "$0.0336")
        run("usage", "--html", str(tmp_path / "report.html"))
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert '<td title="nobody-lists-this">nobody-lists-this</td>' in page
        assert "<td>5</td><td>5</td><td>?</td><td>?</td><td>?</td><td>?</td>" in page

    def test_a_time_limits_what_is_summed_up(self, run: Run, calls: list[str]) -> None:
        """`--since` and `--until` take a while ago, a date or a time."""
        for option, count in (("--since", 4), ("--until", 0)):
            for moment in ("1h", "2w", "2020-01-01", "2020-01-01T12:00:00+01:00"):
                assert as_json(run("usage", option, moment, "--json"))["total"]["calls"] == count

    @pytest.mark.parametrize("moment", ["yesterday", "2026-13-01", "0001-01-01", "2999-01-01", "999999w", ""])
    def test_what_is_no_point_in_time_is_said(self, run: Run, moment: str) -> None:
        """With the option, and how to say it."""
        wrong = run("usage", "--since", moment)
        assert (wrong.exit_code, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith(
            f"avionics: --since: {moment!r} is no point in time; say 30m, 12h, 7d or 2w for "
        )

    def test_the_page_needs_nothing_else(self, run: Run, calls: list[str], tmp_path: Path) -> None:
        """All dimensions with bars, names escaped; nothing is loaded from anywhere and nothing runs."""
        assert run("usage", "--html", str(tmp_path / "report.html")).exit_code == 0
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert [
            by for by in ("agent", "model", "provider", "tenant", "day") if f"<h2>By {by}</h2><svg" not in page
        ] == []
        assert "<title>gpt-4.1: $0.0336 to $0.0336</title>" in page
        assert "The cost of 1 attempts is unknown" in page
        assert [foreign for foreign in ("<script", "src=", "href=", "url(", "@import") if foreign in page] == []
        refused = run("usage", "--html", str(tmp_path / "missing" / "report.html"))
        assert (refused.exit_code, "cannot be written" in refused.stderr) == (2, True)

    def test_without_calls_there_are_sums_of_nothing(self, run: Run) -> None:
        """A new database is no error."""
        assert as_json(run("usage", "--json"))["total"]["calls"] == 0
        for form in ([], ["--plot"]):
            assert run("usage", "--by", "day", *form).exit_code == 0


class TestLogs:
    """Single calls."""

    def test_tail_lists_the_last_calls(self, run: Run, calls: list[str]) -> None:
        """One line each, the newest last; of those that are asked for."""
        lines = run("logs", "tail", "-n", "2").stdout.splitlines()
        assert [call[-8:] in line for call, line in zip(calls[2:], lines[1:], strict=True)] == [True, True]
        assert "[red]critic" in lines[1]
        assert re.search(r" ok +2 ", lines[1])
        assert "unknown" in lines[2]
        assert len(run("logs", "tail", "--agent", "planner").stdout.splitlines()) == 3
        assert len(run("logs", "tail", "--outcome", "error").stdout.splitlines()) == 1

    def test_show_tells_all_of_one_call(self, run: Run, calls: list[str], settings: Settings) -> None:
        """Its facts, its attempts on one time axis, what was thought of it and what was said."""
        with CallHistory(settings) as history:
            history.record_feedback(calls[2], "helpful", 1, comment="very")
        shown = run("logs", "show", calls[2][-12:]).stdout
        assert [
            word for word in (calls[2], "[red]critic", "acme", "openai, then llamaserver") if word not in shown
        ] == []
        first, second = (line for line in shown.splitlines() if line.startswith(("1  ", "2  ")))
        assert [word for word in ("first", "openai", "rate_limit 429 slow_down") if word not in first] == []
        assert [word for word in ("fallback", "llamaserver", "ok", "10000 + 1000 ") if word not in second] == []
        assert "helpful: 1.0 very" in shown
        assert "What is [bold]up[/]?" in shown
        unknown = run("logs", "show", "nobody")
        assert (unknown.exit_code, unknown.stderr) == (1, "avionics: no call goes by the id 'nobody'\n")

    def test_json_lines_hold_calls_with_their_attempts(self, run: Run, calls: list[str], tmp_path: Path) -> None:
        """In the order of time, on standard output or in a file; flat, with money as text and null for unknown."""
        lines = [json.loads(line) for line in run("logs", "export").stdout.splitlines()]
        assert [line["id"] for line in lines] == calls
        assert [line["cost_usd"] for line in lines[:2]] == [LARGE_COST, SMALL_COST]
        assert (lines[3]["cost_usd"], lines[3]["unpriced"], lines[3]["input_tokens"]) == (None, 1, 5)
        assert [[one["number"] for one in line["attempts"]] for line in lines] == [[1], [1], [1, 2], [1]]
        assert run("logs", "export", "-o", str(tmp_path / "calls.jsonl"), "--agent", "planner").stdout == ""
        assert len((tmp_path / "calls.jsonl").read_text(encoding="utf-8").splitlines()) == 2

    def test_csv_is_a_table_of_calls(self, run: Run, calls: list[str]) -> None:
        """With a header, one line for each."""
        rows = list(csv.DictReader(run("logs", "export", "--format", "csv").stdout.splitlines()))
        assert [row["id"] for row in rows] == calls
        assert (rows[0]["cost_usd"], rows[3]["cost_usd"], rows[0]["agent"]) == (LARGE_COST, "", "planner")

    def test_prune_forgets_what_is_old(self, run: Run, calls: list[str]) -> None:
        """And says how much."""
        assert run("logs", "prune", "--before", "1d").stdout.startswith("0 calls from before ")
        assert run("logs", "prune", "--before", "2222-02-22").stdout.startswith("4 calls from before ")
        assert run("logs", "export").stdout == ""


class TestWhatIf:
    """Other models, other prices."""

    def test_another_model_is_priced_for_the_same_tokens(self, run: Run, calls: list[str]) -> None:
        """The difference is between the same calls; what cannot be compared is counted; assumptions are printed."""
        found = as_json(run("whatif", "--model", "gpt-4.1-mini", "--json"))
        assert found["alternative"] == {"provider": "openai", "model": "gpt-4.1-mini", "kind": None}
        by_model = {(group["provider"], group["model"]): group for group in found["groups"]}
        planned, secret = by_model["openai", "gpt-4.1"], by_model["openai", "nobody-lists-this"]
        assert (planned["calls"], planned["compared"]) == (2, 2)
        assert (secret["calls"], secret["compared"], secret["unlogged"]) == (1, 0, 1)
        assert (planned["logged_usd"], planned["alternative_usd"]) == ("0.0336", "0.0112")
        assert by_model["llamaserver", "tiny"]["logged_usd"] == "0"
        shown = run("whatif", "--model", "gpt-4.1-mini", "--agent", "planner").stdout
        assert "-$0.0224 (-67%)" in shown
        assert "Whether its answers would be as good is unknown." in shown
        shown = run("whatif", "--model", "gpt-4.1-mini").stdout
        assert "1 calls have no known cost as they were and are left out." in shown

    def test_other_prices_are_those_of_a_file(self, run: Run, calls: list[str], tmp_path: Path) -> None:
        """Every attempt as it was, at the prices of the file."""
        prices = tmp_path / "prices.yaml"
        prices.write_text(
            "prices:\n  - {provider: openai, model: gpt-4.1, input_per_million: 1, output_per_million: 1}\n",
            encoding="utf-8",
        )
        found = as_json(run("whatif", "--prices", str(prices), "--agent", "planner", "--json"))
        assert (found["alternative"], found["total"]["compared"]) == (None, 2)
        assert (found["total"]["logged_usd"], found["total"]["alternative_usd"]) == ("0.0336", "0.0166")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "say what would be otherwise: --model NAME, --prices FILE, or both"),
            (["--provider", "openai"], "--provider says who serves the other model; say --model, too"),
            (["--model", "nobody-lists-this"], "it is not known who serves 'nobody-lists-this'; say --provider, too"),
            (["--model", "openai:nobody-lists-this"], "no price is known for 'nobody-lists-this' of 'openai'"),
        ],
    )
    def test_what_cannot_be_asked_is_said(self, run: Run, arguments: list[str], words: str) -> None:
        """In one line that names the option."""
        result = run("whatif", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert words in result.stderr
