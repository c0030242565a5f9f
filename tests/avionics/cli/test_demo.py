"""`avionics demo`: the main job, told honestly."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec

import pytest
from typer.testing import Result

from airframe.testing.tiny_model import REPLY

pytestmark = pytest.mark.real_llama

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def output() -> str:
    """What the demo prints where there is no terminal, whatever the environment holds."""
    program = "from avionics.cli import main; main()"
    environment = {**os.environ, "AVIONICS_LLM_PROVIDER": "openai", "AVIONICS_LLM_FALLBACK_PROVIDERS": "mock"}
    run = subprocess.run(
        [sys.executable, "-c", program, "demo"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=150,
    )
    assert run.stderr == ""
    return run.stdout


def test_it_says_first_what_is_scripted(output: str) -> None:
    """Before anything else one reads that the model only ever says its one sentence."""
    introduction = output[: output.index("1. An answer")]
    assert "only ever says its one sentence, and calls a tool when one is offered" in introduction.replace("\n", " ")


def test_the_answer_comes_event_by_event(output: str) -> None:
    """The pieces that are shown are the answer."""
    (answer,) = re.findall(r"^answer  (Hello\|.*)$", output, re.MULTILINE)
    assert answer.replace("|", "") == REPLY


def test_the_price_is_zero_and_the_estimate_is_called_one(output: str) -> None:
    """What runs here costs nothing; what a hosted model would cost is an estimate from a dated list."""
    assert re.search(r"^price +\$0: it runs on your own hardware", output, re.MULTILINE)
    assert re.search(r"^estimate +\$0\.0000\d+ for as many tokens of openai's gpt-4\.1-mini", output, re.MULTILINE)


def test_the_tool_is_called_and_answered(output: str) -> None:
    """The call is the model's own; what the tool answers is made up, and said to be."""
    assert 'get_weather({"city": "Oslo"})' in output
    assert "made up by this demo" in output


def test_the_fallback_shows_every_attempt(output: str) -> None:
    """The provider that is down is asked twice, then the other one answers; the trace shows the same."""
    attempts = re.findall(r"^(\d) +(first|retry|fallback) +(\w+) +127\.0\.0\.1:\d+ +(\w+)", output, re.MULTILINE)
    assert attempts == [
        ("1", "first", "openai", "connection"),
        ("2", "retry", "openai", "connection"),
        ("3", "fallback", "llamaserver", "ok"),
    ]
    assert re.findall(r"(attempt \d.*?) *$", output, re.MULTILINE)[-3:] == [
        "attempt 1: connection",
        "attempt 2 (retry): connection",
        "attempt 3 (fallback)",
    ]


def test_it_is_plain_without_a_terminal(output: str) -> None:
    """No escape sequence reaches a file."""
    assert "\x1b" not in output


def test_it_prints_where_only_ascii_can_be_printed() -> None:
    """A terminal without UTF-8 gets other signs, not an error."""
    program = "from avionics.cli import main; main()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    run = subprocess.run(
        [sys.executable, "-c", program, "demo"], capture_output=True, check=True, env=environment, timeout=150
    )
    assert b"`- chat" in run.stdout


def test_without_its_extra_it_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra, and the exit code is that of a wrong configuration."""
    find_spec = importlib.util.find_spec

    def without_llama_cpp(name: str) -> ModuleSpec | None:
        return None if name == "xllamacpp" else find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_llama_cpp)
    result = run("demo")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install 'jeeves-avionics[demo]'" in result.stderr
