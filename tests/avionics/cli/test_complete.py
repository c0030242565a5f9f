"""`avionics complete`: the answer on standard output, everything else on standard error, the outcome as exit code."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from airframe.testing import Answer
from airframe.testing.mutators import cut_after
from airframe.testing.tiny_model import REPLY, THOUGHT
from avionics.embedded import EmbeddedLlamaServer

pytestmark = pytest.mark.real_llama

Run = Callable[..., Result]
Serve = Callable[..., str]

NOBODY = "http://127.0.0.1:1"
ONE_TOKEN = Answer(chunks=["Once upon", " a time"], faults=cut_after(events=2))


@pytest.mark.parametrize("mode", [[], ["--no-stream"]])
def test_the_answer_alone_is_on_standard_output(run: Run, mode: list[str]) -> None:
    """Streamed or not, what is piped on is the answer and a line feed."""
    result = run("complete", "Hi", "-t", "0", *mode)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{REPLY}\n", "")


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_the_prompt_may_come_from_standard_input(run: Run, arguments: list[str]) -> None:
    """Without a prompt, or with `-`, standard input is the prompt: a longer one costs more tokens."""
    short, long = (
        json.loads(run("complete", *arguments, "-t", "0", "--json", stdin=text).stdout)["tokens"]["prompt"]
        for text in ("Hi", "Hi, all of you")
    )
    assert long > short


def test_json_is_one_object_with_the_facts_of_the_call(run: Run) -> None:
    """Scripts find the answer, its tokens, its cost and every attempt in one line of JSON."""
    result = run("complete", "Hi", "-t", "0", "-s", "Be brief.", "--agent", "planner", "--json")
    answer = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""
    assert (answer["text"], answer["reasoning"], answer["finish_reason"]) == (REPLY, THOUGHT, "stop")
    assert (answer["provider"], answer["model"]) == ("llamaserver", EmbeddedLlamaServer.model_name)
    assert (answer["agent_name"], answer["cost_usd"], answer["usage_source"]) == ("planner", "0", "reported")
    assert answer["tokens"]["total"] == answer["tokens"]["prompt"] + answer["tokens"]["completion"]
    assert [(attempt["number"], attempt["reason"], attempt["status"]) for attempt in answer["attempts"]] == [
        (1, "first", 200)
    ]
    assert answer["error"] is None


def test_the_options_reach_the_model(run: Run) -> None:
    """The model's name is asked for, and the answer ends at the limit, of which standard error tells."""
    result = run("complete", "Hi", "-t", "0", "--max-tokens", "3", "-m", "some-model", "--json")
    answer = json.loads(result.stdout)
    assert answer["attempts"][0]["model"] == "some-model"
    assert (answer["finish_reason"], answer["tokens"]["completion"]) == ("length", 3)
    assert "--max-tokens" in result.stderr


def test_a_fallback_answers_and_is_told_of(run: Run) -> None:
    """The answer of a fallback provider is a success; standard error says who failed."""
    result = run(
        *("complete", "Hi", "-t", "0"),
        AVIONICS_LLM_PROVIDER="openai",
        AVIONICS_OPENAI_API_KEY="not-a-key",
        AVIONICS_OPENAI_BASE_URL=NOBODY,
        AVIONICS_LLM_FALLBACK_PROVIDERS="llamaserver",
        AVIONICS_LLM_MAX_RETRIES="0",
    )
    assert (result.exit_code, result.stdout) == (0, f"{REPLY}\n")
    assert result.stderr.splitlines() == [
        "avionics: attempt 1: openai failed: connection",
        "avionics: llamaserver answered instead",
    ]


def test_another_provider_may_be_asked_once(run: Run) -> None:
    """`-p` asks that provider, without the model that is meant for the configured one."""
    result = run("complete", "Hi there", "-p", "mock", "--json", AVIONICS_DEFAULT_MODEL="meant-for-llamaserver")
    answer = json.loads(result.stdout)
    assert (answer["provider"], answer["model"], answer["text"]) == ("mock", "mock", "Hi there")


def test_a_call_that_fails_exits_with_1(run: Run) -> None:
    """A server that is not there is one line on standard error, and nothing on standard output."""
    result = run("complete", "Hi", AVIONICS_LLAMASERVER_HOST=NOBODY, AVIONICS_LLM_MAX_RETRIES="0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "no connection to http://127.0.0.1:1" in result.stderr


def test_a_failed_call_is_json_too(run: Run) -> None:
    """With `--json` a failure has its category, its attempts and the exit code 1."""
    result = run("complete", "Hi", "--json", AVIONICS_LLAMASERVER_HOST=NOBODY, AVIONICS_LLM_MAX_RETRIES="0")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (answer["error"]["category"], answer["text"], len(answer["attempts"])) == ("connection", "", 1)


def test_a_broken_stream_prints_what_came_and_exits_with_1(run: Run, serve: Serve) -> None:
    """The beginning of the answer is on standard output, the reason for its end on standard error."""
    result = run("complete", "Hi", AVIONICS_LLAMASERVER_HOST=serve(ONE_TOKEN))
    assert (result.exit_code, result.stdout) == (1, "Once upon\n")
    assert result.stderr.startswith("avionics: the answer broke off: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["complete", "Hi", "-t", "-1"], "--temperature"),
        (["complete", "Hi", "--max-tokens", "0"], "--max-tokens"),
        (["complete", "Hi", "--no-such-option"], "--no-such-option"),
        (["complete", ""], "prompt must not be empty"),
        (["complete"], "the prompt on standard input is empty"),
        (["complete", "Hi", "-p", "llamasever"], "did you mean 'llamaserver'"),
        (["complete", "Hi", "-p", "openai"], "AVIONICS_OPENAI_API_KEY"),
        (["chat"], "chat"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_mistake(run: Run, arguments: list[str], message: str) -> None:
    """Nothing is sent, nothing is printed, and the message says what to change."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_configuration_that_cannot_work_exits_with_2(run: Run) -> None:
    """The message names the setting and its variable, and does not repeat what may be a key."""
    result = run("complete", "Hi", AVIONICS_LLAMASERVER_HOST="sk-a-key-in-the-wrong-place")
    assert result.exit_code == 2
    assert "AVIONICS_LLAMASERVER_HOST" in result.stderr
    assert "wrong-place" not in result.output
