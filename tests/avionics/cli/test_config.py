"""`avionics config`: the settings shown, described, begun and checked, without asking anybody."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from avionics.cli.app import app
from avionics.settings import Settings, reset_settings

Invoke = Callable[..., Result]

KEY = "sk-marker-of-the-key"
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "avionics.yaml"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_API_KEY", "AZURE_API_KEY_SWEDEN", "OPENROUTER_API_KEY")


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Invoke]:
    """Runs `avionics config` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **variables: str) -> Result:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        reset_settings()
        return CliRunner().invoke(app, ["config", *arguments], prog_name="avionics")

    yield run
    reset_settings()


class TestCheck:
    """What is wrong is said before anybody is asked."""

    def test_the_example_with_every_provider_is_accepted(self, invoke: Invoke) -> None:
        """With the keys that it names, nothing is missing; what is not sent to a model is noted."""
        result = invoke("check", str(EXAMPLE), **dict.fromkeys(KEYS, "a-key-of-some-length"))
        assert result.exit_code == 0, result.output
        assert "holds no key" not in result.stdout
        assert result.stdout.endswith(f"{EXAMPLE}: nothing is wrong\n")

    def test_the_example_has_every_kind(self) -> None:
        """A new kind is shown there, or this fails."""
        from avionics.settings.providers import KINDS

        assert {provider.kind for provider in Settings(config=EXAMPLE).providers.values()} == set(KINDS)

    def test_keys_that_are_elsewhere_are_notes(self, invoke: Invoke) -> None:
        """The file is right; the machine where it is checked need not hold the keys."""
        result = invoke("check", str(EXAMPLE))
        assert result.exit_code == 0
        for name in KEYS[:3]:
            assert f"the variable {name} holds no key; set it" in result.stdout

    def test_everything_wrong_is_listed(self, invoke: Invoke, tmp_path: Path) -> None:
        """Kinds that nobody brings, addresses that are missing, agents that ask nobody, ids that are none."""
        file = tmp_path / "mine.yaml"
        file.write_text(
            "agents:\n  planner: {provider: opnai}\n  poet: {provider: mock, model: fast}\n"
            "models:\n  fast: {id: 'openai:'}\n"
            "providers:\n  box: {kind: olama}\n  azure: {}\n"
        )
        result = invoke("check", str(file))
        assert result.exit_code == 2
        for said in (
            "providers.box.kind: there is no kind 'olama'; did you mean 'ollama'?",
            "providers.azure.base_url (AVIONICS_AZURE_ENDPOINT): the provider azure needs the URL",
            "unknown provider 'opnai'; did you mean 'openai'?",
            "model id 'openai:' names no model",
            "agents.poet at mock: model 'fast': model id 'openai:' names no model",
        ):
            assert said in result.stdout
        assert "nothing is wrong" not in result.stdout

    def test_a_parameter_that_a_model_does_not_take_is_a_note_or_a_mistake(
        self, invoke: Invoke, tmp_path: Path
    ) -> None:
        """As the settings want it."""
        file = tmp_path / "mine.yaml"
        file.write_text(
            "llm_provider: openai\nopenai_api_key: abcdef\ndefault_model: gpt-5\n"
            "agents: {poet: {temperature: 0.5}}\nrouting: {unsupported_parameters: '${POLICY:-warn}'}\n"
        )
        noted, refused = invoke("check", str(file)), invoke("check", str(file), POLICY="error")
        assert (noted.exit_code, refused.exit_code) == (0, 2)
        for result in (noted, refused):
            assert "agents.poet at openai: gpt-5 does not take temperature" in result.stdout

    def test_a_file_that_is_none_is_an_error_with_its_line(self, invoke: Invoke, tmp_path: Path) -> None:
        """Exit code 2, on standard error, without the value."""
        file = tmp_path / "mine.yaml"
        file.write_text(f"providers:\n  openai:\n    api_kee: {KEY}\n")
        result = invoke("check", str(file))
        assert result.exit_code == 2
        assert f"providers.openai.api_kee ({file}, line 3): there is no such setting; did you mean" in result.stderr
        assert KEY not in result.output


class TestShow:
    """The settings that hold, and where each comes from."""

    def test_each_setting_has_its_source(self, invoke: Invoke, tmp_path: Path) -> None:
        """A variable, a line of the file, or a default; a key is said to be there, and not shown."""
        (tmp_path / "avionics.toml").write_text(f'default_model = "m"\nopenai_api_key = "{KEY}"\n')
        result = invoke("show", "--json", AVIONICS_LLM_MAX_RETRIES="2")
        rows = {row["name"]: (row["value"], row["source"]) for row in json.loads(result.stdout)}
        assert rows["agents.default.model"] == ("m", "avionics.toml, line 1")
        assert rows["limits.max_retries"] == ("2", "AVIONICS_LLM_MAX_RETRIES")
        assert rows["agents.default.provider"] == ("llamaserver", None)
        assert rows["providers.openai.api_key"] == ("set, not shown", "avionics.toml, line 2")
        assert rows["limits.store"] == ("memory", None)
        table = invoke("show").stdout
        assert "avionics.toml, line 1" in table
        assert KEY not in result.output + table

    def test_another_file_can_be_looked_at(self, invoke: Invoke) -> None:
        """The one that is named, in place of the one that is found."""
        assert "big_box" in invoke("show", str(EXAMPLE)).stdout


class TestInit:
    """A file to begin with."""

    def test_it_is_written_once_and_is_right(self, invoke: Invoke, tmp_path: Path) -> None:
        """It passes the check as it is, and one that is there is never overwritten."""
        assert invoke("init").exit_code == 0
        file = tmp_path / "avionics.yaml"
        assert invoke("check").exit_code == 0
        assert Settings(config=file).llm_provider == "llamaserver"
        file.write_text("# mine\n")
        again = invoke("init")
        assert (again.exit_code, file.read_text()) == (2, "# mine\n")
        assert "avionics.yaml is there already; it was left as it is" in again.stderr

    def test_what_is_commented_out_is_right_too(self, invoke: Invoke, tmp_path: Path) -> None:
        """Whoever takes the signs away has settings that work."""
        invoke("init")
        file = tmp_path / "avionics.yaml"
        _, _, yaml = file.read_text().partition("\n\n")
        file.write_text(re.sub(r"^( *)# ", r"\1", yaml, flags=re.MULTILINE))
        settings = Settings(config=file)
        assert settings.agent("planner").max_tokens == 2000
        assert settings.models["fast"].temperature == 0.2

    def test_another_format_is_refused(self, invoke: Invoke) -> None:
        """It says which one is written."""
        assert "the file to begin with is YAML" in invoke("init", "settings.json").stderr


def test_the_schema_is_printed_as_json(invoke: Invoke) -> None:
    """An editor can be given it as it is."""
    schema = json.loads(invoke("schema").stdout)
    assert schema["properties"]["agents"]["additionalProperties"] == {"$ref": "#/$defs/AgentSettings"}
