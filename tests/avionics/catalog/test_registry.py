"""Looking models up: by id, by name, by what they are called elsewhere, and by what somebody meant."""

from __future__ import annotations

import tracemalloc
from datetime import date
from decimal import Decimal

import pytest

from airframe.endpoints import EndpointSpec
from avionics.errors import ConfigurationError, ModelNotFoundError
from avionics.llm import CostCalculator, ModelRegistry, ModelSpec
from avionics.llm.catalog import SpecSettings
from avionics.settings import Settings


class TestRows:
    """The catalog's own rows."""

    def test_every_row_says_where_it_is_from_and_when_that_was_read(self) -> None:
        """A fact without a source cannot be checked."""
        assert [spec.id for spec in ModelRegistry() if not spec.source or spec.checked is None] == []

    def test_the_price_of_every_row_that_names_one_is_known(self) -> None:
        """A reference that leads nowhere would make a call free of charge, or unpriced."""
        prices = CostCalculator()
        unpriced: list[str] = []
        for spec in ModelRegistry():
            provider, _, model = (spec.priced_as or "").partition(":")
            if spec.priced_as and prices.get_pricing(provider, model) is None:
                unpriced.append(spec.id)
        assert unpriced == []

    def test_windows_are_those_of_the_price_list_where_that_has_them(self) -> None:
        """Two sources agree on the size of a window, to a tenth: some count in binary, some round."""
        from genai_prices.data_snapshot import get_snapshot

        listed = {
            f"{provider.id}:{model.id}": model.context_window
            for provider in get_snapshot().providers
            for model in provider.models
            if model.context_window
        }
        both = [spec for spec in ModelRegistry() if spec.context_window and spec.id in listed]
        assert len(both) > 40
        assert [
            (spec.id, spec.context_window, listed[spec.id])
            for spec in both
            if not 0.9 < (spec.context_window or 0) / listed[spec.id] < 1.1
        ] == []

    def test_answers_fit_into_windows(self) -> None:
        """No model says more than it can hold, and chats read and write text."""
        for spec in ModelRegistry():
            assert spec.max_output is None or (spec.context_window or 0) >= spec.max_output, spec.id
            if spec.operation == "chat":
                assert "text" in (spec.input_modalities or ()), spec.id
                assert spec.output_modalities == ("text",), spec.id

    def test_a_row_has_all_that_is_known(self) -> None:
        """Capabilities, modalities, window, length, efforts, price and the last day, of one model."""
        spec = ModelRegistry().get("gpt-5")
        assert (spec.id, spec.name, spec.provider, spec.runtime) == ("openai:gpt-5", "gpt-5", "openai", "api")
        assert (spec.context_window, spec.max_output, spec.retires) == (400_000, 128_000, date(2026, 12, 11))
        assert spec.reasoning is not None
        assert spec.reasoning.efforts == ("minimal", "low", "medium", "high")
        assert [spec.supports(ability) for ability in ("vision", "audio", "tools", "reasoning", "streaming")] == [
            True,
            False,
            True,
            True,
            True,
        ]
        assert spec.priced_as == "openai:gpt-5"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("openai:gpt-5", "openai:gpt-5"),
        ("gpt-5", "openai:gpt-5"),
        ("GPT-5", "openai:gpt-5"),
        ("gpt-4.1-2025-04-14", "openai:gpt-4.1"),
        ("claude-opus-4-5-20251101", "anthropic:claude-opus-4-5"),
        ("claude-opus-4-5@20251101", "anthropic:claude-opus-4-5"),
        ("claude-opus-5.5", "anthropic:claude-opus-5-5"),
        ("ft:gpt-4o-2024-08-06:acme::1", "openai:gpt-4o"),
        ("anthropic/claude-opus-5.5", "anthropic:claude-opus-5-5"),
        ("gpt-5-2", None),
        ("gpt", None),
        ("openai:claude-opus-5", None),
    ],
)
def test_a_model_is_found_under_its_names(said: str, meant: str | None) -> None:
    """Snapshots and fine-tunes are what they are of; a name that is merely alike is nobody's."""
    spec = ModelRegistry().find(said)
    assert (spec and spec.id) == (meant if said != "gpt-5-2" else "openai:gpt-5.2")


def test_an_unknown_model_is_an_error_with_the_nearest_ids() -> None:
    """Whoever misspells is told what there is."""
    with pytest.raises(ModelNotFoundError, match="nearest are openai:gpt-5-mini"):
        ModelRegistry().get("gpt-5-minni")
    assert ModelRegistry().nearest("claude-sonet-5")[0] == "anthropic:claude-sonnet-5"


@pytest.mark.parametrize(
    ("kind", "url", "model", "meant"),
    [
        ("openai", "https://api.openai.com/v1", "gpt-5", "openai:gpt-5"),
        ("azure", "https://x.openai.azure.com", "gpt-5", "openai:gpt-5"),
        ("openrouter", "https://openrouter.ai/api/v1", "openai/gpt-5:free", "openai:gpt-5"),
        ("openrouter", "https://openrouter.ai/api/v1", "~anthropic/claude-opus-5.5", "anthropic:claude-opus-5-5"),
        ("openai_compatible", "http://127.0.0.1:8000", "gpt-4o", None),
        ("ollama", "http://127.0.0.1:11434", "gpt-oss:20b", "openai:gpt-oss-20b"),
        ("lm_studio", "http://127.0.0.1:1234", "openai/gpt-oss-20b", "openai:gpt-oss-20b"),
        ("ollama", "http://127.0.0.1:11434", "gpt-4o", None),
    ],
)
def test_what_a_name_means_depends_on_who_is_asked(kind: str, url: str, model: str, meant: str | None) -> None:
    """A local server may call its model after a famous one; only open weights are the same everywhere."""
    spec = ModelRegistry().at(EndpointSpec(base_url=url, backend_kind=kind), model)
    assert (spec and spec.id) == meant


class TestOwnSpecs:
    """What the user says of models."""

    def test_it_is_laid_over_the_catalog(self) -> None:
        """What is not said stays as it was; capabilities are added to."""
        models = {"gpt-5": {"spec": {"context_window": 1000, "capabilities": {"tools": False}}}}
        spec = ModelRegistry.from_settings(Settings(models=models)).get("gpt-5")
        assert (spec.context_window, spec.max_output, spec.source) == (1000, 128_000, "settings")
        assert (spec.supports("tools"), spec.supports("streaming")) == (False, True)

    def test_it_wins_where_the_model_is_asked(self) -> None:
        """Under the bare name it means the model that is known by it."""
        registry = ModelRegistry.from_settings(Settings(models={"gpt-5": {"spec": {"context_window": 1000}}}))
        spec = registry.at(EndpointSpec(base_url="https://api.openai.com/v1", backend_kind="openai"), "gpt-5")
        assert spec is not None
        assert spec.context_window == 1000

    def test_a_model_that_nobody_knows_has_what_is_said(self) -> None:
        """Everything else of it is unknown, which is not false."""
        models = {"ollama:mine": {"spec": {"input_modalities": ["text", "image"]}}}
        spec = ModelRegistry.from_settings(Settings(models=models)).get("ollama:mine")
        assert (spec.supports("vision"), spec.supports("tools"), spec.context_window) == (True, None, None)

    def test_a_provider_of_ones_own_may_stand_in_an_id(self) -> None:
        """The names under `providers` mean providers in front of a colon."""
        settings = Settings(
            providers={"my_vllm": {"kind": "openai_compatible", "base_url": "http://127.0.0.1:8000"}},
            models={"my_vllm:big": {"spec": {"context_window": 5000}}},
        )
        endpoint = EndpointSpec(base_url="http://127.0.0.1:8000", backend_kind="openai_compatible")
        spec = ModelRegistry.from_settings(settings).at(endpoint, "big", provider="my_vllm")
        assert spec is not None
        assert (spec.name, spec.provider, spec.context_window) == ("big", "my_vllm", 5000)

    def test_to_be_like_nobody_is_an_error(self) -> None:
        """It names the model and the nearest ones."""
        settings = Settings(models={"azure:mine": {"spec": {"like": "gpt-5-minni"}}})
        with pytest.raises(
            ConfigurationError, match=r"'azure:mine' is said to be like 'gpt-5-minni'.*openai:gpt-5-mini"
        ):
            ModelRegistry.from_settings(settings)

    def test_the_settings_check_it(self) -> None:
        """A word that a spec does not have is an error with a suggestion, like everywhere in the settings."""
        with pytest.raises(ConfigurationError, match="context_windw"):
            Settings(models={"mine": {"spec": {"context_windw": 5}}})


def test_models_can_be_added_while_in_use() -> None:
    """The newest entry of an id wins."""
    registry = ModelRegistry(built_in=False)
    assert len(registry) == 0
    for size in (1, 2):
        registry.add(ModelSpec(id="a", name="a", provider="x", context_window=size))
    assert [spec.context_window for spec in registry] == [2]
    assert registry.find("a", provider="x") == registry.get("a")


def test_a_spec_is_not_changed_by_what_is_laid_over_it() -> None:
    """Specs are values."""
    spec = ModelSpec(id="a", name="a", provider="x", context_window=5)
    assert spec.with_changes(SpecSettings(context_window=6)).context_window == 6
    assert spec.context_window == 5


def test_priced_as_leads_to_a_price() -> None:
    """The reference is what the calculator takes."""
    spec = ModelRegistry().get("gpt-4.1-mini")
    provider, _, model = (spec.priced_as or "").partition(":")
    pricing = CostCalculator().get_pricing(provider, model)
    assert pricing is not None
    assert pricing.input_per_million == Decimal("0.4")


class TestWhatWasAskedBefore:
    """The registry remembers what it found for the models that calls ask for."""

    HERE = EndpointSpec(base_url="http://127.0.0.1:8000", backend_kind="openai_compatible")

    def test_a_model_that_is_added_is_known_to_the_next_call(self) -> None:
        """Also one that was looked for in vain, and one of which something else was known."""
        registry = ModelRegistry()
        for size in (1, 2):
            before = registry.at(self.HERE, "tiny", provider="box")
            assert before is None or before.context_window != size
            registry.add(ModelSpec(id="box:tiny", name="tiny", provider="box", context_window=size))
            after = registry.at(self.HERE, "tiny", provider="box")
            assert after is not None
            assert after.context_window == size

    def test_the_nearest_ids_are_those_of_now(self) -> None:
        """Who is told what there is, is told of what was found running meanwhile."""
        registry = ModelRegistry()
        assert "box:tiny-llama-9" not in registry.nearest("tiny-llama")
        registry.add(ModelSpec(id="box:tiny-llama-9", name="tiny-llama-9", provider="box"))
        assert "box:tiny-llama-9" in registry.nearest("tiny-llama")

    def test_names_that_come_once_are_forgotten(self) -> None:
        """Models whose names are made up by callers take a bounded amount of memory."""
        registry = ModelRegistry()

        def ask(first: int) -> None:
            for number in range(first, first + 1_500):
                assert registry.at(self.HERE, f"{'x' * 2_000}-{number}") is None

        ask(0)
        tracemalloc.start()
        try:
            ask(1_500)
            ask(3_000)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 4_500_000, "the names alone, all of them, would be 6 MB"
