"""Providers of others: registered ones, those of installed packages, and those that inherit nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from importlib import metadata
from typing import Unpack, cast

import pytest

from airframe.errors import ErrorCategory
from airframe.types import FinishReason, InferenceResult, Message, TextPart, Usage
from avionics.errors import (
    ConfigurationError,
    LLMRateLimitError,
    LLMServerError,
    UnsupportedProviderError,
)
from avionics.llm import (
    CompletionProvider,
    CompletionResult,
    LLMGateway,
    MockProvider,
    TokenChunk,
    create_llm_provider,
    register_provider,
    registry,
)
from avionics.llm.requests import RequestOptions
from avionics.settings import Settings


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


class Parrot:
    """Inherits nothing; repeats what it is told, as often as it is told to."""

    def __init__(self, settings: Settings) -> None:
        self.times = settings.provider("parrot").stated_options().get("times", 1)
        self.options: list[RequestOptions] = []

    async def complete(
        self, messages: Sequence[Message], *, model: str | None = None, **options: Unpack[RequestOptions]
    ) -> CompletionResult[object]:
        self.options.append(options)
        text = " ".join([messages[-1].text] * int(str(self.times)))
        if text == "rate":
            raise LLMRateLimitError("too fast", category=ErrorCategory.RATE_LIMIT, retry_after=3)
        result = InferenceResult(content=[TextPart(text)], finish_reason=FinishReason.STOP)
        return CompletionResult(
            provider="parrot", model=model, result=result, usage=Usage(output_tokens=1), cost=None, parsed=None
        )

    async def stream_complete(
        self, messages: Sequence[Message], *, model: str | None = None, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[TokenChunk]:
        self.options.append(options)
        for word in messages[-1].text.split():
            if word == "cut":
                return
            yield TokenChunk(word)
        yield TokenChunk("", is_final=True, metadata={"finish_reason": FinishReason.STOP, "model": "bird"})


PARROT = {"parrot": {"kind": "parrot", "options": {"times": 2}}}


class TestRegistry:
    """Who makes the provider of a name."""

    def test_what_is_registered_wins(self) -> None:
        """A new name is known from then on, and a known one gets another meaning."""
        mine = MockProvider()
        register_provider("mine", lambda settings: mine)
        register_provider("openai", lambda settings: mine)
        assert create_llm_provider("mine", Settings()) is mine
        assert create_llm_provider("openai", Settings()) is mine
        assert "mine" in registry.known_providers()

    def test_a_class_makes_providers_of_its_kind(self) -> None:
        """With their own names, and with the settings of the agent."""

        class Talkative(MockProvider):
            name = "talkative"
            kind = "talkative"

        register_provider("talkative", Talkative)
        settings = Settings(providers={"a": {"kind": "talkative", "model": "m"}}, agents={"poet": {"temperature": 1}})
        provider = create_llm_provider("a", settings, agent_name="poet")
        assert isinstance(provider, Talkative)
        assert (provider.name, provider.default_model, provider.config.temperature) == ("a", "m", 1)

    def test_an_installed_package_brings_a_provider(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By an entry point, loaded when it is asked for; it does not take a known kind over."""
        entries = [
            metadata.EntryPoint("parrot", f"{__name__}:Parrot", registry.ENTRY_POINT_GROUP),
            metadata.EntryPoint("openai", "nowhere:Broken", registry.ENTRY_POINT_GROUP),
            metadata.EntryPoint("broken", "nowhere:Broken", registry.ENTRY_POINT_GROUP),
        ]
        monkeypatch.setattr(registry, "_entry_points", lambda: tuple(entries))
        monkeypatch.setattr(metadata.EntryPoint, "load", _load)
        assert create_llm_provider("parrot", Settings(providers=PARROT)).name == "parrot"
        assert create_llm_provider("openai", Settings(openai_api_key="abcdef")).name == "openai"
        with pytest.raises(ConfigurationError, match="'broken' cannot be loaded from 'nowhere:Broken': ModuleNotFound"):
            create_llm_provider("broken", Settings())
        entries.append(entries[0])
        with pytest.raises(ConfigurationError, match=r"'parrot' is brought by .* and .*; uninstall one of them"):
            create_llm_provider("parrot", Settings(providers=PARROT))

    def test_a_kind_that_nobody_brings_is_an_error_with_a_suggestion(self) -> None:
        """The settings cannot know what is installed; who makes the provider does."""
        settings = Settings(providers={"box": {"kind": "olama"}})
        with pytest.raises(
            UnsupportedProviderError, match=r"providers\.box\.kind: there is no kind 'olama'; did you mean"
        ):
            create_llm_provider("box", settings)

    def test_what_makes_no_provider_is_an_error(self) -> None:
        """It says what is missing."""

        def nothing(_settings: Settings) -> object:
            return object()

        register_provider("mine", cast("registry.ProviderMaker", nothing))
        with pytest.raises(ConfigurationError, match="'mine' made object, which has no complete and stream_complete"):
            create_llm_provider("mine", Settings())


def _load(entry: metadata.EntryPoint) -> object:
    if entry.value.startswith("nowhere"):
        raise ModuleNotFoundError("No module named 'nowhere'")
    return Parrot


@pytest.mark.anyio
class TestForeigners:
    """Two methods are enough to be asked by everybody."""

    async def test_it_is_a_provider_of_the_gateway(self) -> None:
        """Whole and streamed, with the options that the caller gave and no others."""
        parrot = Parrot(Settings(providers=PARROT))
        assert isinstance(parrot, CompletionProvider)
        register_provider("parrot", lambda settings: parrot)
        async with LLMGateway(Settings(llm_provider="parrot", providers=PARROT), observers=[]) as gateway:
            response = await gateway.complete("Polly", temperature=0.5)
            async with gateway.complete_stream("Pretty Polly", max_tokens=3) as stream:
                pieces = [chunk.text async for chunk in stream]
        assert (response.text, response.provider) == ("Polly Polly", "parrot")
        assert pieces == ["Pretty", "Polly", ""]
        assert stream.response.model == "bird"
        assert parrot.options == [{"temperature": 0.5}, {"max_tokens": 3}]

    async def test_its_errors_keep_their_category(self) -> None:
        """The gateway falls back by it."""
        register_provider("parrot", lambda settings: Parrot(Settings(providers={"parrot": {"kind": "parrot"}})))
        settings = Settings(llm_provider="parrot", providers=PARROT)
        provider = create_llm_provider("parrot", settings)
        with pytest.raises(LLMRateLimitError) as caught:
            await provider.complete([Message("user", "rate")])
        assert caught.value.retry_after == 3
        async with LLMGateway(settings, fallback_providers=["mock"], observers=[]) as gateway:
            assert (await gateway.complete("rate")).provider == "mock"

    async def test_a_stream_without_an_end_is_an_error(self) -> None:
        """What had come of it is kept."""
        register_provider("parrot", Parrot)
        provider = create_llm_provider("parrot", Settings(providers=PARROT))
        stream = provider.stream_complete([Message("user", "Hello cut")])
        assert (await anext(stream)).text == "Hello"
        with pytest.raises(LLMServerError) as caught:
            await anext(stream)
        assert caught.value.partial_text == "Hello"
