"""The JSON Schema of a settings file tells right from wrong as the settings do, before there is a machine to run on."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError, validate

from avionics.errors import ConfigurationError
from avionics.settings import Settings, settings_schema

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "avionics.yaml"
FIRST = Path(str(files("avionics.cli"))) / "first_settings.yaml"

WRONG: list[dict[str, Any]] = [
    {"caches": {}},
    {"cache": {"backend": "disk"}},
    {"limits": {"max_retries": "many"}},
    {"limits": {"max_retries": -1}},
    {"llm_max_retries": "many"},
    {"default_temperature": -1},
    {"llamaserver_api_type": "grpc"},
    {"agents": {"planner": {"temprature": 1}}},
    {"agents": {"planner": {"top_p": 2}}},
    {"agents": "planner"},
    {"routing": {"mode": "both"}},
    {"call_log": {"enabled": "perhaps"}},
    {"providers": {"openai": {"base_url": 5}}},
    {"providers": {"openai": {"options": {"api_type": "soap"}}}},
    {"providers": {"mine": {}}},
    {"providers": {"Mine": {"kind": "ollama"}}},
    {"providers": {"mine": {"kind": "ollama", "sloths": 1}}},
]

WITH_VARIABLES: list[dict[str, Any]] = [
    {"limits": {"max_retries": "${NOT_SET:-3}", "timeouts": {"attempt": "${NOT_SET:-2.5}"}}},
    {"llm_timeout": "${NOT_SET:-2}"},
    {"routing": {"mode": "${NOT_SET:-distributed}"}},
    {"call_log": {"enabled": "${NOT_SET:-true}"}},
    {"providers": {"mine": {"kind": "ollama", "slots": "${NOT_SET:-2}"}}},
]


def test_it_is_a_schema() -> None:
    """Of the draft that it names."""
    Draft202012Validator.check_schema(settings_schema())


@pytest.mark.parametrize("file", [EXAMPLE, FIRST], ids=["example", "first"])
def test_our_own_files_are_right(file: Path) -> None:
    """The example with everything, and the file to begin with."""
    validate(yaml.safe_load(file.read_text(encoding="utf-8")), settings_schema())


def test_the_example_leaves_no_section_out() -> None:
    """Whoever looks for one finds it there."""
    sections = set(Settings.model_fields) - {"config", "dotenv", "secrets_dir"}
    assert set(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))) == sections


@pytest.mark.parametrize("content", WRONG, ids=str)
def test_what_the_settings_refuse_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    """Names, types, ranges and choices."""
    file = tmp_path / "avionics.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigurationError):
        Settings(config=file)
    with pytest.raises(ValidationError):
        validate(content, settings_schema())


@pytest.mark.parametrize("content", WITH_VARIABLES, ids=str)
def test_a_variable_will_do_in_place_of_any_value(content: dict[str, Any], tmp_path: Path) -> None:
    """Its value is known only where the file is read."""
    file = tmp_path / "avionics.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    Settings(config=file)
    validate(content, settings_schema())
