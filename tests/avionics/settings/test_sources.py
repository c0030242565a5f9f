"""Settings come from code, environment, dotenv, secrets, file and defaults, in this order, value by value."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from avionics.errors import ConfigurationError
from avionics.settings import Settings

KEY = "sk-proj-abcdefghijklmnop"


def test_defaults_need_nothing() -> None:
    """Without any setting, a llama.cpp server on this machine is asked."""
    settings = Settings()
    assert (settings.llm_provider, settings.llamaserver_host) == ("llamaserver", "http://127.0.0.1:8080")
    assert settings.llm_fallback_providers == ()
    assert settings.openai_api_key is None


def test_each_source_overrules_those_behind_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of six places that set what those before them leave open, each is the one that decides somewhere."""
    names = ["connect", "first_event", "idle", "attempt", "total"]

    def values(count: int, number: int) -> list[tuple[str, int]]:
        return [(name, number) for name in names[:count]]

    (tmp_path / "avionics.yaml").write_text(
        "limits:\n  max_retries: 7\n  timeouts:\n" + "".join(f"    {name}: {value}\n" for name, value in values(5, 5))
    )
    (tmp_path / "secrets").mkdir()
    for name, value in values(4, 4):
        (tmp_path / "secrets" / f"avionics_limits__timeouts__{name}").write_text(f"{value}\n")
    (tmp_path / "my.env").write_text(
        "".join(f"AVIONICS_LIMITS__TIMEOUTS__{name.upper()}={value}\n" for name, value in values(3, 3))
    )
    for name, value in values(2, 2):
        monkeypatch.setenv(f"AVIONICS_LIMITS__TIMEOUTS__{name.upper()}", str(value))
    settings = Settings(
        limits={"timeouts": dict(values(1, 1))}, dotenv=tmp_path / "my.env", secrets_dir=tmp_path / "secrets"
    )
    timeouts = settings.limits.timeouts
    assert [getattr(timeouts, name) for name in names] == [1, 2, 3, 4, 5]
    assert settings.limits.max_retries == 7
    assert settings.routing.mode == "single_node"


def test_a_file_is_found_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The argument wins over the variable, that over the working directory, that over the user's own directory."""
    places = [
        tmp_path / "argument.yaml",
        tmp_path / "variable.toml",
        tmp_path / "avionics.yml",
        tmp_path / "user" / "avionics" / "avionics.toml",
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        sign = " =" if place.suffix == ".toml" else ":"
        place.write_text(f'default_model{sign} "{place.name}"\n')
    monkeypatch.setenv("AVIONICS_CONFIG", str(places[1]))
    assert Settings(config=places[0]).default_model == "argument.yaml"
    assert Settings().default_model == "variable.toml"
    monkeypatch.delenv("AVIONICS_CONFIG")
    assert (Settings().default_model, Settings().config) == ("avionics.yml", Path("avionics.yml"))
    places[2].unlink()
    assert (Settings().default_model, Settings().config) == ("avionics.toml", places[3])
    places[3].unlink()
    assert (Settings().default_model, Settings().config) == (None, None)


def test_two_files_in_one_place_are_an_error(tmp_path: Path) -> None:
    """Nobody has to guess which of them holds."""
    (tmp_path / "avionics.yaml").touch()
    (tmp_path / "avionics.toml").touch()
    with pytest.raises(ConfigurationError, match=r"avionics\.yaml and avionics\.toml are both there; keep one"):
        Settings()


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    """Both formats reach every section."""
    yaml, toml = tmp_path / "a.yaml", tmp_path / "a.toml"
    yaml.write_text("providers:\n  box: {kind: ollama, timeouts: {idle: 3}}\nagents:\n  planner: {provider: box}\n")
    toml.write_text('[providers.box]\nkind = "ollama"\ntimeouts.idle = 3\n[agents.planner]\nprovider = "box"\n')
    first, second = Settings(config=yaml), Settings(config=toml)
    assert (first.providers, first.agents) == (second.providers, second.agents)
    assert first.provider("box").timeouts.idle == 3


def test_variables_lead_through_the_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two underscores go one level down; numbers, lists and mappings are read as what the field is."""
    monkeypatch.setenv("AVIONICS_PROVIDERS__BIG_BOX__KIND", "llama_server")
    monkeypatch.setenv("AVIONICS_PROVIDERS__BIG_BOX__BASE_URL", "http://10.0.0.7:8080")
    monkeypatch.setenv("AVIONICS_PROVIDERS__BIG_BOX__OPTIONS__API_TYPE", "native")
    monkeypatch.setenv("AVIONICS_PROVIDERS__OPENAI", '{"model": "gpt-5", "headers": {"x-team": "blue"}}')
    monkeypatch.setenv("AVIONICS_AGENTS__PLANNER__STOP", '["END"]')
    settings = Settings()
    box = settings.provider("big_box")
    assert (box.base_url, box.stated_options()) == ("http://10.0.0.7:8080", {"api_type": "native"})
    openai = settings.provider("openai")
    assert (openai.model, openai.headers["x-team"].get_secret_value()) == ("gpt-5", "blue")
    assert settings.agent("planner").stop == ("END",)


@pytest.mark.parametrize("key", ["123456789", "true", "null", "1e5"])
def test_a_key_that_looks_like_something_else_stays_a_text(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Nothing is guessed about a variable; the field says what it is."""
    monkeypatch.setenv("AVIONICS_PROVIDERS__OPENAI__API_KEY", key)
    assert Settings().openai_api_key == SecretStr(key)


def test_an_empty_file_and_empty_variables_set_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`AVIONICS_OPENAI_API_KEY=` means that there is no key, not that the key is empty."""
    file = tmp_path / "mine.yml"
    file.write_text("# nothing yet\n")
    monkeypatch.setenv("AVIONICS_OPENAI_API_KEY", "")
    assert Settings(config=file).openai_api_key is None


def test_a_list_in_the_environment_is_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fallback providers need no JSON."""
    monkeypatch.setenv("AVIONICS_LLM_FALLBACK_PROVIDERS", " openai, mock ,")
    assert Settings().llm_fallback_providers == ("openai", "mock")


def test_a_dotenv_file_is_read_only_when_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A `.env` that lies about changes nothing; named by argument or variable, it counts."""
    (tmp_path / ".env").write_text("AVIONICS_DEFAULT_MODEL=from-dotenv\nOTHER_PROGRAM=1\n")
    assert Settings().default_model is None
    assert Settings(dotenv=".env").default_model == "from-dotenv"
    monkeypatch.setenv("AVIONICS_DOTENV", ".env")
    assert Settings().default_model == "from-dotenv"


def test_a_file_refers_to_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`${VAR}` is the variable, `${VAR:-default}` has a default, `$${` is a plain `${`; a dotenv file counts too."""
    (tmp_path / "avionics.yaml").write_text(
        "default_model: ${SIZE}-model\nllm_timeout: ${SECONDS_EACH:-30}\nllm_provider: ${WHO}\n"
        "agents: {poet: {system: 'literal $${SIZE}', stop: ['${SIZE}']}}\n"
    )
    (tmp_path / "my.env").write_text("WHO=mock\n")
    monkeypatch.setenv("SIZE", "big")
    settings = Settings(dotenv=tmp_path / "my.env")
    assert (settings.default_model, settings.llm_timeout, settings.llm_provider) == ("big-model", 30, "mock")
    assert (settings.agent("poet").system, settings.agent("poet").stop) == ("literal ${SIZE}", ("big",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\ndefault_model: ${NO_SUCH_ONE}\n", r"line 2: the variable NO_SUCH_ONE is not set; .*\$\{NO_SUCH_ONE:-def"),
        ("default_model: 'a ${ b'\n", r"line 1: a '\$\{' begins what is no \$\{VAR\}"),
    ],
)
def test_a_reference_to_nothing_is_an_error_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """A missing variable does not become an empty text."""
    (tmp_path / "avionics.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        Settings()


def test_a_key_stands_in_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`api_key_env` fetches it, for providers and their backups; a key that is given itself wins over a file's."""
    file = tmp_path / "avionics.yaml"
    file.write_text(
        "providers:\n  azure:\n    base_url: https://a.example\n    api_key_env: FIRST\n"
        "    backups:\n    - {base_url: 'https://b.example', api_key_env: SECOND}\n"
    )
    assert Settings().azure_api_key is None
    monkeypatch.setenv("FIRST", "first-key")
    monkeypatch.setenv("SECOND", "second-key")
    settings = Settings()
    assert settings.azure_api_key == SecretStr("first-key")
    assert settings.provider("azure").backups[0].api_key == SecretStr("second-key")
    assert Settings(azure_api_key=KEY).azure_api_key == SecretStr(KEY)
    both = Settings(providers={"openai": {"api_key": KEY, "api_key_env": "FIRST"}})
    assert both.openai_api_key == SecretStr(KEY)


def test_each_value_knows_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A variable, a line of a file, an argument, or nothing for a default; short names included."""
    (tmp_path / "avionics.toml").write_text('default_model = "m"\n\n[providers.ollama]\ncontext_window = 8192\n')
    monkeypatch.setenv("AVIONICS_LLM_MAX_RETRIES", "2")
    settings = Settings(llm_provider="ollama")
    assert settings.origin(("agents", "default", "provider")) == "argument llm_provider"
    assert settings.origin(("limits", "max_retries")) == "AVIONICS_LLM_MAX_RETRIES"
    assert settings.origin(("agents", "default", "model")) == "avionics.toml, line 1"
    assert settings.origin(("providers", "ollama", "context_window")) == "avionics.toml, line 4"
    assert settings.origin(("routing", "mode")) is None


def test_a_secrets_directory_takes_files_named_like_variables(tmp_path: Path) -> None:
    """In either case, with the trailing line break that editors leave; other files are not looked at."""
    (tmp_path / "AVIONICS_OPENAI_API_KEY").write_text(f"{KEY}\n")
    (tmp_path / "avionics_providers__azure__api_key").write_text("azure-key")
    (tmp_path / "database_password").write_text("no business of ours")
    settings = Settings(secrets_dir=tmp_path)
    assert (settings.openai_api_key, settings.azure_api_key) == (SecretStr(KEY), SecretStr("azure-key"))
