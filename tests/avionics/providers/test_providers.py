"""A provider is an adapter under a name: it asks what it was told to ask, and its errors are ours."""

from __future__ import annotations

import pytest

from airframe.adapters import LlamaServerAdapter, OpenAIChatAdapter
from airframe.endpoints import HealthState
from airframe.errors import ErrorCategory
from airframe.redaction import Secret
from airframe.testing import Answer, Failure
from airframe.types import FinishReason, Message, Usage
from avionics.errors import (
    ConfigurationError,
    LLMAuthenticationError,
    LLMInvalidRequestError,
    LLMRateLimitError,
    LLMServerError,
    UnsupportedProviderError,
)
from avionics.llm import LLMProvider, MockProvider, TokenChunk, create_llm_provider
from avionics.settings import Settings

KEY = "sk-proj-abcdefghijklmnop"


class TestFactory:
    """From a name and the settings to a provider."""

    def test_llamaserver_is_made_from_its_settings(self) -> None:
        """Host, API type and model reach the provider."""
        settings = Settings(llamaserver_host="http://127.0.0.1:9999/", default_model="qwen2.5-7b")
        provider = create_llm_provider("llamaserver", settings)
        assert isinstance(provider.adapter, LlamaServerAdapter)
        assert provider.name == "llamaserver"
        assert (provider.endpoint.base_url, provider.default_model) == ("http://127.0.0.1:9999", "qwen2.5-7b")

    def test_openai_is_made_from_its_settings_and_hides_its_key(self) -> None:
        """The key reaches the endpoint and shows nowhere."""
        provider = create_llm_provider("openai", Settings(openai_api_key=KEY))
        assert isinstance(provider.adapter, OpenAIChatAdapter)
        assert isinstance(provider.endpoint.api_key, Secret)
        assert provider.endpoint.api_key.reveal() == KEY
        assert KEY not in repr(provider.endpoint)

    def test_the_default_model_belongs_to_the_first_provider(self) -> None:
        """A name that only one backend knows is not sent to another one."""
        settings = Settings(llm_provider="llamaserver", default_model="qwen2.5-7b", openai_api_key=KEY)
        assert create_llm_provider("openai", settings).default_model == settings.openai_model
        settings = Settings(llm_provider="openai", default_model="gpt-5", openai_api_key=KEY)
        assert create_llm_provider("openai", settings).default_model == "gpt-5"
        assert create_llm_provider("llamaserver", settings).default_model is None

    def test_openai_without_a_key_names_the_variable(self) -> None:
        """The error says what to set."""
        with pytest.raises(ConfigurationError, match="set the environment variable AVIONICS_OPENAI_API_KEY"):
            create_llm_provider("openai", Settings())

    def test_an_unknown_provider_is_an_error_with_the_known_names(self) -> None:
        """A misspelt name gets a suggestion, and the list."""
        with pytest.raises(UnsupportedProviderError) as caught:
            create_llm_provider("llama-server", Settings())
        assert "did you mean 'llamaserver'? known are anthropic, azure, gpt_oss, llamacpp" in str(caught.value)


@pytest.mark.anyio
class TestCalls:
    """What a provider does with its adapter."""

    async def test_complete_answers_a_conversation(self) -> None:
        """The answer comes with the provider's name and the model that gave it."""
        provider = MockProvider([Answer(text="blue", usage=Usage(input_tokens=4, output_tokens=1), model="big")])
        answer = await provider.complete([Message("user", "Which colour?")], temperature=0.1)
        assert (answer.text, answer.provider, answer.model) == ("blue", "mock", "big")
        assert (answer.finish_reason, answer.usage.output_tokens) == (FinishReason.STOP, 1)
        ((_, request),) = provider.script.calls
        assert (request.model, request.temperature, request.top_p) == ("mock", 0.1, None)

    async def test_generate_sends_its_documented_defaults(self) -> None:
        """Temperature 0.7, 512 tokens and top_p 0.95, unless the options say otherwise; no native-only one."""
        provider = MockProvider([Answer(text="4"), Answer(text="5")])
        assert await provider.generate("small", "What is 2+2?") == "4"
        assert (
            await provider.generate("small", "And 3?", {"temperature": 0.3, "num_predict": 100, "stop": ["."]}) == "5"
        )
        first, second = (request for _, request in provider.script.calls)
        assert (first.model, first.messages) == ("small", [Message("user", "What is 2+2?")])
        assert (first.temperature, first.max_tokens, first.top_p, first.stop) == (0.7, 512, 0.95, ())
        assert (first.top_k, first.repeat_penalty) == (None, None)
        assert (second.temperature, second.max_tokens, second.top_p, second.stop) == (0.3, 100, 0.95, ["."])

    async def test_only_the_native_api_takes_top_k_and_repeat_penalty(self) -> None:
        """llama.cpp's own API has defaults for them; with the other one they are unknown options."""
        native = create_llm_provider("llamaserver", Settings(llamaserver_api_type="native"))
        assert (native.default_options["top_k"], native.default_options["repeat_penalty"]) == (40, 1.1)
        chat = create_llm_provider("llamaserver", Settings())
        with pytest.raises(
            LLMInvalidRequestError, match="does not know top_k; it knows num_predict, stop, temperature"
        ):
            await chat.generate(None, "Hi", {"top_k": 1})

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (
                {"temprature": 1},
                "options: mock does not know temprature; it knows num_predict, stop, temperature, top_p",
            ),
            ({"temperature": "hot"}, "temperature must be a number, got str"),
            ({"num_predict": -5}, "num_predict must be at least 1, got -5"),
        ],
    )
    async def test_a_wrong_option_is_named(self, options: dict[str, object], said: str) -> None:
        """Nothing is sent, and the error says which option it is."""
        provider = MockProvider()
        with pytest.raises(LLMInvalidRequestError, match=said):
            await provider.generate(None, "Hi", options)
        assert provider.script.calls == []

    async def test_generate_stream_says_the_text_in_pieces_and_ends_once(self) -> None:
        """Chunks count up, and the last one has the backend's own number and the reason of the end."""
        provider = MockProvider([Answer(chunks=["The ", "sky"], usage=Usage(output_tokens=5))])
        chunks = [chunk async for chunk in provider.generate_stream("small", "What is above?")]
        assert [(chunk.text, chunk.is_final, chunk.token_count) for chunk in chunks] == [
            ("The ", False, 1),
            ("sky", False, 2),
            ("", True, 5),
        ]
        assert chunks[-1].metadata["finish_reason"] is FinishReason.STOP
        assert isinstance(chunks[0], TokenChunk)

    async def test_errors_are_ours_and_keep_airframes(self) -> None:
        """Streamed or not, an `AirframeError` comes out as the `LLMError` of its category."""
        failure = Failure(ErrorCategory.RATE_LIMIT)
        provider = MockProvider([failure, failure, Failure(ErrorCategory.SERVER, chunks=["The "])])
        with pytest.raises(LLMRateLimitError) as caught:
            await provider.generate("small", "Hi")
        assert (caught.value.provider, caught.value.model) == ("mock", "small")
        with pytest.raises(LLMRateLimitError):
            await provider.complete([Message("user", "Hi")])
        stream = provider.generate_stream("small", "Hi")
        assert (await anext(stream)).text == "The "
        with pytest.raises(LLMServerError) as cut:
            await anext(stream)
        assert cut.value.partial_text == "The "

    async def test_the_models_are_listed(self) -> None:
        """`list_models` gives what the backend offers."""
        assert [model.id for model in await MockProvider().list_models()] == ["mock"]

    async def test_health_and_statistics(self) -> None:
        """A provider reports its backend's health, and counts what went through it."""
        usage = Usage(input_tokens=3, output_tokens=2)
        async with MockProvider([Answer(text="a", usage=usage), Failure(ErrorCategory.AUTH)]) as provider:
            assert (await provider.health_check()).state is HealthState.HEALTHY
            assert provider.supports_streaming
            await provider.generate(None, "Hi")
            with pytest.raises(LLMAuthenticationError):
                await provider.generate(None, "Hi")
            stats = provider.get_stats()
        assert (stats.requests, stats.answers, stats.failures) == (2, 1, 1)
        assert (stats.prompt_tokens, stats.completion_tokens) == (3, 2)

    async def test_a_stream_is_counted_once_however_it_ends(self) -> None:
        """A whole stream is an answer; one that is closed early is a request without an answer."""
        provider: LLMProvider = MockProvider([Answer(chunks=["a", "b"])] * 2)
        async with provider.generate_stream(None, "Hi") as read:
            async for _ in read:
                pass
        async with provider.generate_stream(None, "Hi") as left:
            await anext(left)
        stats = provider.get_stats()
        assert (stats.requests, stats.answers, stats.failures) == (2, 1, 0)

    async def test_the_mock_without_a_script_repeats_what_it_is_asked(self) -> None:
        """`llm_provider=mock` works out of the box."""
        provider = create_llm_provider("mock", Settings(llm_provider="mock"))
        assert await provider.generate(None, "one two") == "one two"
        assert [chunk.text async for chunk in provider.generate_stream(None, "one two")] == ["one", " two", ""]
