"""What the sections say together: agents over the default one, providers over what is usual, short names over both."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from avionics.errors import ConfigurationError
from avionics.settings import (
    FLAT_NAMES,
    LLMConfig,
    Settings,
    get_settings,
    reload_settings,
    reset_settings,
    set_settings,
    settings_schema,
)
from avionics.settings.providers import KINDS, WELL_KNOWN

SHORT = {
    "llm_provider": "openai",
    "llm_fallback_providers": ("mock", "ollama"),
    "default_model": "m",
    "default_temperature": 0.5,
    "llm_timeout": 12.0,
    "llm_max_retries": 1,
    "deployment_mode": "distributed",
    "llamaserver_host": "http://10.0.0.1:8080",
    "llamaserver_api_type": "native",
    "llamacpp_model_path": Path("model.gguf"),
    "openai_api_key": "openai-key",
    "openai_base_url": "https://proxy.example/v1",
    "openai_model": "gpt-5",
    "anthropic_api_key": "anthropic-key",
    "azure_endpoint": "https://resource.openai.azure.com",
    "azure_api_key": "azure-key",
    "azure_deployment_name": "my-deployment",
    "azure_api_version": "2024-10-21",
}


class TestShortNames:
    """Every short name stands for one setting."""

    def test_the_table_is_complete(self) -> None:
        """The names that programs have always used are all there."""
        assert set(SHORT) == set(FLAT_NAMES)

    @pytest.mark.parametrize("name", SHORT)
    def test_a_short_name_reads_what_it_sets(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """As an argument and as a variable, it sets the place in the sections that it reads."""
        value = SHORT[name]
        expected = SecretStr(str(value)) if name.endswith("api_key") else value
        assert getattr(Settings(**{name: value}), name) == expected
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        monkeypatch.setenv(f"AVIONICS_{name.upper()}", text)
        settings = Settings()
        assert getattr(settings, name) == expected
        assert settings.origin(FLAT_NAMES[name]) == f"AVIONICS_{name.upper()}"

    @pytest.mark.parametrize("name", SHORT)
    def test_the_long_way_is_the_same_setting(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """What is set in the sections is read by the short name."""
        value = SHORT[name]
        path = "__".join(FLAT_NAMES[name])
        monkeypatch.setenv(f"AVIONICS_{path.upper()}", ",".join(value) if isinstance(value, tuple) else str(value))
        expected = SecretStr(str(value)) if name.endswith("api_key") else value
        assert getattr(Settings(), name) == expected

    def test_the_documented_table_is_the_table(self) -> None:
        """The reference says where each short name stands."""
        reference = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"
        rows = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|$", reference.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert rows == [(name, ".".join(path)) for name, path in FLAT_NAMES.items()]


def test_the_documented_sections_are_the_sections() -> None:
    """The reference tells all of them, and none that nobody reads."""
    reference = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"
    sections, _, _ = reference.read_text(encoding="utf-8").partition("## Short names")
    named = re.findall(r"^\| `(\w+)` \|", sections, flags=re.MULTILINE)
    assert set(named) == Settings.model_fields.keys() - {"config", "dotenv", "secrets_dir"}


class TestAgents:
    """An agent is the agent `default` with what it says itself."""

    def test_what_an_agent_does_not_say_is_the_defaults(self) -> None:
        """Parameters and fallbacks come from behind, one by one."""
        settings = Settings(
            agents={
                "default": {"provider": "openai", "temperature": 0.5, "top_p": 0.9, "fallbacks": ["mock"]},
                "planner": {"temperature": 0.1, "reasoning": {"effort": "low"}},
            }
        )
        planner = settings.agent("planner")
        assert (planner.temperature, planner.top_p, planner.fallbacks) == (0.1, 0.9, ("mock",))
        assert planner.reasoning is not None
        assert settings.first_provider("planner") == "openai"
        assert settings.agent("nobody described") == settings.agent()

    def test_a_model_stays_with_its_provider(self) -> None:
        """Who asks somebody else does not ask for a model that only the first one knows."""
        default = {"provider": "llamaserver", "model": "qwen"}
        settings = Settings(agents={"default": default, "a": {"provider": "openai"}, "b": {"temperature": 1}})
        assert settings.agent("a").model is None
        assert settings.agent("b").model == "qwen"
        assert settings.asking("openai").default_model is None
        assert settings.asking("llamaserver") is settings

    def test_a_config_over_another_keeps_what_it_says(self) -> None:
        """None is silence; zero and empty are not."""
        own = LLMConfig(temperature=0, stop=())
        both = own.over(LLMConfig(temperature=1, stop=("END",), max_tokens=5))
        assert (both.temperature, both.stop, both.max_tokens) == (0, (), 5)


class TestProviders:
    """A provider is what is usual for its kind, with what is described."""

    def test_a_well_known_name_needs_no_description(self) -> None:
        """Its kind and its address are known."""
        provider = Settings().provider("ollama")
        assert (provider.kind, provider.base_url) == ("ollama", "http://127.0.0.1:11434")

    def test_any_other_name_needs_a_kind(self) -> None:
        """It may then say as little as a well-known one."""
        settings = Settings(providers={"left": {"kind": "ollama"}, "right": {"kind": "ollama", "model": "m"}})
        assert settings.provider("left").base_url == settings.provider("right").base_url
        with pytest.raises(
            ConfigurationError, match=r"providers\.middle: no such provider is described; known without"
        ):
            settings.provider("middle")

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_can_be_described(self, kind: str) -> None:
        """A provider of each kind takes what all have in common."""
        described = {"kind": kind, "base_url": "https://a.example", "max_retries": 0, "timeouts": {"idle": 1}}
        provider = Settings(providers={"mine": described}).provider("mine")
        assert (provider.kind, provider.max_retries, type(provider)) == (kind, 0, KINDS[kind])

    def test_a_registered_kind_takes_options_of_its_own(self) -> None:
        """The settings do not know them; the provider does."""
        settings = Settings(providers={"mine": {"kind": "somebodys", "options": {"colour": "blue"}}})
        assert settings.provider("mine").stated_options() == {"colour": "blue"}


class TestProcess:
    """The settings of the process are read once, and exchanged whole."""

    def test_they_are_read_once_and_can_be_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`get_settings` keeps what it has read, until `set_settings` or `reset_settings`."""
        first = get_settings()
        monkeypatch.setenv("AVIONICS_LLM_PROVIDER", "openai")
        assert get_settings() is first
        reset_settings()
        assert get_settings().llm_provider == "openai"
        mine = Settings(llm_provider="mock")
        set_settings(mine)
        assert get_settings() is mine

    def test_a_reload_that_fails_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A slip in the file does not take a running program's settings away."""
        before = get_settings()
        monkeypatch.setenv("AVIONICS_LLM_MAX_RETRIES", "many")
        with pytest.raises(ConfigurationError):
            reload_settings()
        assert get_settings() is before
        monkeypatch.setenv("AVIONICS_LLM_MAX_RETRIES", "9")
        assert reload_settings().llm_max_retries == 9
        assert get_settings().llm_max_retries == 9


class TestSchema:
    """The JSON Schema is what an editor needs of the file."""

    def test_it_knows_the_sections_the_short_names_and_the_kinds(self) -> None:
        """Every name that a file may hold is there, and none that it may not."""
        schema = settings_schema()
        properties = schema["properties"]
        assert isinstance(properties, dict)
        assert set(properties) == (Settings.model_fields.keys() | FLAT_NAMES.keys()) - {
            "config",
            "dotenv",
            "secrets_dir",
        }
        assert schema["additionalProperties"] is False
        providers = properties["providers"]
        assert isinstance(providers, dict)
        named = providers["properties"]
        assert isinstance(named, dict)
        assert set(named) == set(WELL_KNOWN)
        assert named["gpt_oss"] == {"$ref": "#/$defs/MLXSettings"}

    def test_every_field_says_what_it_means(self) -> None:
        """Hovering over a name tells something."""
        definitions = settings_schema()["$defs"]
        assert isinstance(definitions, dict)
        silent: list[str] = []
        for name, definition in definitions.items():
            assert isinstance(definition, dict)
            fields = definition.get("properties") or {}
            assert isinstance(fields, dict)
            if name.endswith(("Settings", "Options")) and name != "SpecSettings":
                silent += [f"{name}.{field}" for field, what in fields.items() if "'description':" not in str(what)]
        assert silent == []
