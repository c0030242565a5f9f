"""A mistake is one clear error: the field, its place, the shape of its value and the remedy, never the value."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from avionics.errors import ConfigurationError
from avionics.settings import Settings

KEY = "sk-proj-abcdefghijklmnop"


@pytest.mark.parametrize(
    ("name", "value", "field", "said"),
    [
        ("DEFAULT_TEMPERATURE", "warm", "agents.default.temperature", "should be a valid number"),
        ("DEFAULT_TEMPERATURE", "-1", "agents.default.temperature", "should be greater than or equal to 0"),
        ("LLM_TIMEOUT", "0", "limits.timeouts.attempt", "should be greater than 0"),
        ("LLM_TIMEOUT", "inf", "limits.timeouts.attempt", "should be a finite number"),
        ("LLM_MAX_RETRIES", "-1", "limits.max_retries", "should be greater than or equal to 0"),
        ("LLAMASERVER_API_TYPE", "grpc", "providers.llamaserver.options.api_type", "should be 'openai' or 'native'"),
        ("LLAMASERVER_HOST", "localhost:8080", "providers.llamaserver.base_url", "begin with http:// or https://"),
        ("AZURE_ENDPOINT", "https://me:secret@a.example", "providers.azure.base_url", "not hold a user name or pass"),
        ("DEPLOYMENT_MODE", "many", "routing.mode", "should be 'single_node' or 'distributed'"),
        ("PROVIDERS__OPENAI__OPTIONS__API_TYPE", "soap", "providers.openai.options.api_type", "'chat' or 'responses'"),
        ("AGENTS__PLANNER__TOP_P", "2", "agents.planner.top_p", "should be less than or equal to 1"),
        ("PROVIDERS__OLLAMA__OPTIONS__KEEP_ALIVE", "[]", "providers.ollama.options.keep_alive", "a list of 0"),
    ],
)
def test_a_wrong_value_is_named_with_field_place_and_shape(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, said: str
) -> None:
    """The error says which field, which variable, what is expected, and does not repeat the value."""
    monkeypatch.setenv(f"AVIONICS_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    first, *_ = lines = str(caught.value).splitlines()
    assert first.startswith(f"{field} (AVIONICS_{name}): ")
    assert said in str(caught.value)
    assert "; got " in first
    assert "secret" not in str(caught.value)
    assert len({line.partition(":")[0] for line in lines}) == 1


def test_a_mistake_in_a_file_has_its_line(tmp_path: Path) -> None:
    """YAML and TOML alike, deep inside lists and tables too."""
    yaml, toml = tmp_path / "a.yaml", tmp_path / "a.toml"
    yaml.write_text("providers:\n  azure:\n    backups:\n    - base_url: https://b.example\n    - base_url: nowhere\n")
    toml.write_text('[[providers.azure.backups]]\nbase_url = "https://b"\n[[providers.azure.backups]]\nbase_url="x"\n')
    for file, line in ((yaml, 5), (toml, 4)):
        with pytest.raises(ConfigurationError) as caught:
            Settings(config=file)
        assert str(caught.value).startswith(f"providers.azure.backups.1.base_url ({file}, line {line}): must begin")


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings nor an error about the key, its context or its pickle contain it."""
    settings = Settings(openai_api_key=KEY, providers={"openai": {"headers": {"x-key": KEY}, "proxy": f"http://{KEY}"}})
    assert KEY not in repr(settings)
    assert KEY not in settings.model_dump_json()
    monkeypatch.setenv("AVIONICS_OPENAI_API_KEY", f"{KEY[:10]}\n{KEY[10:]}")
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    assert "providers.openai.api_key (AVIONICS_OPENAI_API_KEY): holds spaces, line breaks" in str(caught.value)
    assert KEY[10:] not in repr(caught.value)
    assert KEY[10:].encode() not in pickle.dumps(caught.value)
    assert caught.value.__suppress_context__


def test_several_mistakes_are_one_error() -> None:
    """Everything wrong is said at once, a line for each."""
    with pytest.raises(ConfigurationError) as caught:
        Settings(
            llm_max_retries=-1,
            default_temperature="warm",
            providers={"mine": {"base_url": "http://10.0.0.1"}, "Loud": {"kind": "mock"}},
        )
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == [
        "providers.mine.kind",
        "providers.Loud",
        "agents.default.temperature",
        "limits.max_retries",
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"llm_providr": "x"},
            "llm_providr (argument llm_providr): there is no such setting; did you mean 'llm_provider",
        ),
        ({"provider": {}}, "provider (argument provider): there is no such setting; did you mean 'providers'?"),
        ({"xyz": 1}, "xyz (argument xyz): there is no such setting; known are agents, anthropic_api_key"),
        ({"limits": {"timeout": {}}}, "limits.timeout (argument limits.timeout): there is no such setting; did you m"),
        ({"agents": {"a": {"temprature": 1}}}, "agents.a.temprature (argument agents.a.temprature): there is no such"),
        ({"providers": {"openai": {"options": {"api_typ": 1}}}}, "did you mean 'api_type'?"),
        ({"providers": {"openrouter": {"options": {"provider": {"ordr": []}}}}}, "did you mean 'order'?"),
        ({"models": {"m": {"price": {"input": 1}}}}, "models.m.price.input (argument models.m.price.input)"),
        ({"providers": {"mine": {}}}, "the kind of the provider is missing; give one of anthropic, azure, llama_cpp"),
    ],
)
def test_an_unknown_name_is_an_error_with_a_suggestion(values: dict[str, object], said: str) -> None:
    """A misspelt name does not pass silently, in any section."""
    with pytest.raises(ConfigurationError) as caught:
        Settings(**values)
    assert said in str(caught.value)


def test_an_unknown_variable_is_an_error_with_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that begins like ours and sets nothing is a slip of the pen."""
    monkeypatch.setenv("AVIONICS_LLAMASERVER_HSOT", "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    assert str(caught.value) == (
        "llamaserver_hsot (AVIONICS_LLAMASERVER_HSOT): there is no such setting; did you mean 'llamaserver_host'?"
    )


@pytest.mark.parametrize(
    "values",
    [
        {"llamaserver_host": "http://127.0.0.1:1", "providers": {"llamaserver": {"base_url": "http://127.0.0.1:2"}}},
        {"llm_provider": "mock", "agents": {"default": {"provider": "openai"}}},
    ],
)
def test_two_names_for_one_setting_are_an_error(values: dict[str, object]) -> None:
    """Who gives both has to say which one is meant."""
    with pytest.raises(
        ConfigurationError, match=r"argument ll\w+ is short for .*, which is given as well; give only one"
    ):
        Settings(**values)


@pytest.mark.parametrize(
    ("file_name", "text", "said"),
    [
        ("a.yaml", f"llm_provider: openai\nopenai_api_key: {KEY}\n  x: [\n", "a.yaml, line 3, column 4: invalid YAML"),
        ("a.yaml", "llm_provider: \x00", "a.yaml: invalid YAML"),
        ("a.yaml", "- openai\n", "a.yaml: the top level must be a mapping of setting names to values"),
        ("a.yaml", "1: openai\n", r"1 \(.*a.yaml, line 1\): there is no such setting"),
        ("a.yaml", "models:\n  a: {}\n  a: {}\n", "a.yaml, line 3: models.a stands in line 2 already; keep one"),
        ("a.yaml", "llm_provider: 2026-13-45\n", "a.yaml: invalid YAML: it holds a value that cannot be read"),
        ("a.yaml", "[" * 10_000, "a.yaml: invalid YAML"),
        ("a.yaml", "config: b.yaml\n", r"config \(.*line 1\): a file cannot say where settings are read from"),
        ("a.toml", f"openai_api_key = {KEY}", "a.toml: invalid TOML: .*line 1"),
        ("a.json", "{}", "a.json: a settings file ends with .yaml, .yml, .toml"),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path: Path, file_name: str, text: str, said: str) -> None:
    """The error names the file and the line, and never what stands there."""
    file = tmp_path / file_name
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        Settings(config=file)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("name", ["config", "dotenv", "secrets_dir"])
def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    """What was asked for is never skipped."""
    with pytest.raises(ConfigurationError, match=f"missing.yaml: .*{name}"):
        Settings(**{name: tmp_path / "missing.yaml"})


def test_a_yaml_file_that_refers_to_itself_ends(tmp_path: Path) -> None:
    """Anchors that would make an endless or a huge document are an error, not a hang."""
    file = tmp_path / "a.yaml"
    file.write_text("models: &m\n  a: *m\n")
    with pytest.raises(ConfigurationError):
        Settings(config=file)
