"""`avionics doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from airframe.testing.hostile import Connection, HostileServer, head
from avionics.embedded import EmbeddedLlamaServer

pytestmark = pytest.mark.real_llama

Run = Callable[..., Result]

NOBODY = "http://127.0.0.1:1"
KEY = "sk-marker-of-the-key"


def test_a_provider_that_answers_is_well(run: Run, server: EmbeddedLlamaServer) -> None:
    """Reachable, with its models: exit code 0."""
    result = run("doctor")
    assert result.exit_code == 0
    assert f"configured for {server.base_url}, without a key" in result.stdout
    assert f"offers {EmbeddedLlamaServer.model_name}" in result.stdout
    assert result.stdout.endswith("All is well.\n")


def test_each_setting_has_its_source(run: Run, tmp_path: Path) -> None:
    """One sees whether a value comes from the environment or a line of the file. Defaults are not listed."""
    file = tmp_path / "settings.toml"
    file.write_text('default_model = "from-the-file"\nllm_max_retries = 7\n')
    lines = run("doctor", AVIONICS_CONFIG=str(file), AVIONICS_LLM_MAX_RETRIES="2").stdout.splitlines()
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in map(str.rstrip, lines) if len(line.split()) > 2}
    assert rows["agents.default.model"] == ["from-the-file", f"{file}, line 1"]
    assert rows["limits.max_retries"] == ["2", "AVIONICS_LLM_MAX_RETRIES"]
    assert "routing.mode" not in rows


def test_a_server_that_is_down_is_a_problem_with_a_remedy(run: Run) -> None:
    """It says how to start one and where to say where it is."""
    result = run("doctor", AVIONICS_LLAMASERVER_HOST=NOBODY)
    assert result.exit_code == 1
    assert "unreachable" in result.stdout
    assert "remedy: start one, such as: llama-server" in result.stdout
    assert "AVIONICS_LLAMASERVER_HOST" in result.stdout


def test_fallback_providers_are_examined_too(run: Run) -> None:
    """A fallback without its key would fail when it is needed."""
    result = run("doctor", AVIONICS_LLM_FALLBACK_PROVIDERS="openai")
    assert result.exit_code == 1
    assert "Provider openai (fallback 1)" in result.stdout
    assert "set the environment variable AVIONICS_OPENAI_API_KEY" in result.stdout


def test_whom_only_a_route_names_is_examined_too(run: Run, tmp_path: Path) -> None:
    """Calls may be sent there."""
    file = tmp_path / "settings.yaml"
    file.write_text("routing: {routes: {careful: {deployments: [{provider: llamaserver}, {provider: openai}]}}}\n")
    assert "Provider openai" in run("doctor", AVIONICS_CONFIG=str(file)).stdout


def test_a_key_is_seen_but_never_shown(run: Run) -> None:
    """That a key is there is said; the key is not."""
    result = run("doctor", AVIONICS_LLM_PROVIDER="openai", AVIONICS_OPENAI_BASE_URL=NOBODY, AVIONICS_OPENAI_API_KEY=KEY)
    assert "set, not shown" in result.stdout
    assert f"configured for {NOBODY}, with its key" in result.stdout
    assert KEY not in result.output


def test_a_misspelled_variable_is_found(run: Run) -> None:
    """A variable that sets nothing is a problem, and the one that was meant is named."""
    result = run("doctor", AVIONICS_LLAMASERVER_HSOT=NOBODY)
    assert result.exit_code == 1
    assert "llamaserver_hsot (AVIONICS_LLAMASERVER_HSOT): there is no such setting" in result.stdout
    assert "did you mean 'llamaserver_host'?" in result.stdout


def test_a_model_that_the_server_does_not_list_is_noted(run: Run) -> None:
    """Some servers answer for any name, so it is a note and not a problem."""
    result = run("doctor", AVIONICS_DEFAULT_MODEL="other")
    assert result.exit_code == 0
    assert "does not list the model 'other'" in result.stdout
    assert "set AVIONICS_DEFAULT_MODEL" in result.stdout


def test_settings_that_cannot_work_are_explained(run: Run) -> None:
    """Every mistake of the settings is listed, without the values."""
    result = run("doctor", AVIONICS_LLAMASERVER_HOST=KEY, AVIONICS_LLM_MAX_RETRIES="many")
    assert result.exit_code == 1
    assert "AVIONICS_LLAMASERVER_HOST" in result.stdout
    assert "AVIONICS_LLM_MAX_RETRIES" in result.stdout
    assert "2 problems found." in result.stdout
    assert KEY not in result.output


@pytest.mark.parametrize(
    ("provider", "remedy"),
    [
        (
            "llamaserver",
            "start one, such as: llama-server --model FILE.gguf --port 8080; or set AVIONICS_LLAMASERVER_HOST",
        ),
        ("ollama", "start it: ollama serve; or set AVIONICS_PROVIDERS__OLLAMA__BASE_URL to where it is"),
        ("lmstudio", "start its server: lms server start; or set AVIONICS_PROVIDERS__LMSTUDIO__BASE_URL"),
        ("gpt_oss", "start one, such as: mlx_lm.server --model NAME --port 8080; or set AVIONICS_PROVIDERS__GPT_OSS__"),
        ("openai", "check AVIONICS_OPENAI_BASE_URL, and the way to that server"),
    ],
)
def test_a_machine_with_nothing(run: Run, provider: str, remedy: str) -> None:
    """No server runs and no settings are made: each kind of backend has its remedy."""
    address = f"AVIONICS_PROVIDERS__{provider.upper()}__BASE_URL"
    variables = {"AVIONICS_LLM_PROVIDER": provider, address: NOBODY, "AVIONICS_LLAMASERVER_HOST": ""}
    if provider == "openai":
        variables["AVIONICS_OPENAI_API_KEY"] = KEY
    result = run("doctor", **variables)
    assert result.exit_code == 1
    assert "unreachable" in result.stdout
    assert f"remedy: {remedy}" in result.stdout


@pytest.mark.parametrize("place", ["AVIONICS_OPENAI_API_KEY", "MY_OWN_VARIABLE"])
def test_a_wrong_key_is_a_problem_with_a_remedy(run: Run, place: str) -> None:
    """The server answers and refuses: the variable with the key is named, and the key is not."""
    refusal = b'{"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}'

    def refuse(connection: Connection) -> None:
        connection.send(head(401, content_length=len(refusal)) + refusal)

    with HostileServer(refuse) as server:
        variables = {"AVIONICS_LLM_PROVIDER": "openai", "AVIONICS_OPENAI_BASE_URL": f"{server.base_url}/v1", place: KEY}
        if place == "MY_OWN_VARIABLE":
            variables["AVIONICS_PROVIDERS__OPENAI__API_KEY_ENV"] = place
        result = run("doctor", **variables)
    assert result.exit_code == 1
    assert "unhealthy: " in result.stdout
    assert "Incorrect API key provided" in result.stdout
    assert (
        f"remedy: check the key in {place}, and that it is for the server at AVIONICS_OPENAI_BASE_URL" in result.stdout
    )
    assert KEY not in result.output


def test_a_server_that_was_stopped_is_a_problem_with_a_remedy(run: Run) -> None:
    """It was there a moment ago; it is not loading and not broken, it is gone."""
    with HostileServer(lambda connection: connection.reset()) as server:
        port = server.port
    result = run("doctor", AVIONICS_LLAMASERVER_HOST=f"http://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert f"unreachable: no connection to http://127.0.0.1:{port}" in result.stdout
    assert "remedy: start one, such as: llama-server" in result.stdout
