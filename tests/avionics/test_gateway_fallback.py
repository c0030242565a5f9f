"""Another provider is asked as long as nothing was delivered, and never after; nothing is lost either way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeAlias

import pytest

from airframe.errors import BackendError, ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import Usage
from avionics.errors import (
    AllAttemptsFailedError,
    ConfigurationError,
    LLMAuthenticationError,
    LLMConnectionError,
    LLMError,
    LLMServerError,
    UnsupportedProviderError,
)
from avionics.llm import LLMGateway, LLMResponse, MockProvider, registry
from avionics.settings import Settings
from avionics.testing import RecordingObserver, ScriptedGateway

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[LLMResponse]]

USAGE = Usage(input_tokens=1000, output_tokens=10)
USAGE_COST = Decimal("0.000416")  # gpt-4.1-mini: 0.40 USD in and 1.60 USD out for a million tokens


class TestFallback:
    """Who is asked next, and when."""

    @pytest.mark.parametrize("category", ["connection", "server", "auth", "rate_limit", "protocol", "not_found"])
    async def test_a_failure_before_the_first_piece_falls_back(self, ask: Ask, category: str) -> None:
        """The caller gets the second provider's answer, and only that."""
        gateway = ScriptedGateway(
            llamaserver=[Failure(ErrorCategory(category))], openai=[Answer(text="a", usage=USAGE)]
        )
        response = await ask(gateway)
        assert (response.text, response.provider, response.cost_usd) == ("a", "openai", USAGE_COST)
        end = gateway.recorder.end
        assert end.outcome == "success"
        assert [(attempt.provider, attempt.reason, attempt.category) for attempt in end.attempts] == [
            ("llamaserver", "first", ErrorCategory(category)),
            ("openai", "fallback", None),
        ]

    @pytest.mark.parametrize("category", ["invalid_request", "content_filter", "tls"])
    async def test_a_failure_that_is_the_requests_does_not_fall_back(self, ask: Ask, category: str) -> None:
        """The error comes at once, as itself, and nobody else is asked."""
        gateway = ScriptedGateway(llamaserver=[Failure(ErrorCategory(category))], openai=[Answer(text="a")])
        with pytest.raises(LLMError) as caught:
            await ask(gateway)
        assert caught.value.category == category
        assert not isinstance(caught.value, AllAttemptsFailedError)
        assert gateway.asked("openai") == []
        assert gateway.recorder.end.outcome == "error"

    async def test_another_provider_is_asked_for_its_own_model(self, ask: Ask) -> None:
        """The name of the first provider's model is not sent to the second one."""
        gateway = ScriptedGateway(llamaserver=[Failure(ErrorCategory.CONNECTION)], openai=[Answer(text="a")])
        await ask(gateway, model="qwen2.5-7b")
        assert [request.model for request in gateway.asked("llamaserver")] == ["qwen2.5-7b"]
        assert [request.model for request in gateway.asked("openai")] == ["gpt-4.1-mini"]

    async def test_an_empty_answer_falls_back_and_is_paid_for(self, ask: Ask) -> None:
        """Silence is a failure while somebody else can be asked; its tokens stay in the sum."""
        gateway = ScriptedGateway(
            llamaserver=[Answer(usage=Usage(input_tokens=5, output_tokens=0))], openai=[Answer(text="a", usage=USAGE)]
        )
        response = await ask(gateway)
        assert (response.text, response.prompt_tokens, response.cost_usd) == ("a", 1005, USAGE_COST)
        first, _ = gateway.recorder.end.attempts
        assert (first.category, first.usage_source) == (ErrorCategory.PROTOCOL, "reported")
        assert gateway.scripted["llamaserver"].script.open_streams == 0

    async def test_an_empty_answer_is_an_answer_when_nobody_else_can_be_asked(self, ask: Ask) -> None:
        """The model said nothing, and that is what the caller is told."""
        response = await ask(ScriptedGateway(llamaserver=[Answer(usage=USAGE)]))
        assert (response.text, response.prompt_tokens) == ("", 1000)

    async def test_reasoning_that_the_caller_never_saw_does_not_stop_a_fallback(self) -> None:
        """A stream that broke while the model was thinking has delivered nothing."""
        gateway = ScriptedGateway(
            llamaserver=[Failure(ErrorCategory.PROTOCOL, reasoning="Hm.")], openai=[Answer(text="a")]
        )
        chunks = [chunk.text async for chunk in gateway.complete_stream("Why?")]
        assert chunks == ["a", ""]

    async def test_when_everybody_fails_every_cause_is_in_the_error(self, ask: Ask) -> None:
        """One error holds each provider's own, and each attempt."""
        refused = BackendError("nobody listens", category=ErrorCategory.CONNECTION)
        gateway = ScriptedGateway(llamaserver=[Failure(refused)], openai=[Failure(ErrorCategory.AUTH)])
        with pytest.raises(AllAttemptsFailedError) as caught:
            await ask(gateway)
        error = caught.value
        first, second = error.causes
        assert isinstance(first, LLMConnectionError)
        assert isinstance(second, LLMAuthenticationError)
        assert isinstance(first.__cause__, BackendError)
        assert error.__cause__ is second.__cause__
        assert str(error).startswith("all 2 providers failed: llamaserver: connection: nobody listens; openai: auth: ")
        assert [attempt.category for attempt in error.attempts] == [ErrorCategory.CONNECTION, ErrorCategory.AUTH]
        end = gateway.recorder.end
        assert (end.outcome, end.category, end.usage) == ("error", ErrorCategory.AUTH, None)

    async def test_a_fallback_that_cannot_be_made_is_a_failure_of_the_call(self) -> None:
        """A key that is missing is noticed when its turn comes, and named."""
        gateway = LLMGateway(
            Settings(),
            fallback_providers=["openai"],
            observers=[],
            providers={"llamaserver": MockProvider([Failure(ErrorCategory.CONNECTION)])},
        )
        with pytest.raises(AllAttemptsFailedError, match=r"not configured: .*AVIONICS_OPENAI_API_KEY"):
            await gateway.complete("Why?")

    async def test_the_settings_name_the_fallbacks_when_the_code_does_not(self) -> None:
        """`llm_fallback_providers` is used, in its order, each provider once."""
        settings = Settings(llm_provider="mock", llm_fallback_providers=["mock", "openai"])
        providers = {
            "mock": MockProvider([Failure(ErrorCategory.SERVER)]),
            "openai": MockProvider([Answer(text="a")], name="openai"),
        }
        gateway = LLMGateway(settings, observers=[], providers=providers)
        assert (await gateway.complete("Why?")).provider == "openai"

    def test_an_unknown_provider_is_refused_when_the_gateway_is_made(self) -> None:
        """A misspelt name is not found out by the first outage."""
        with pytest.raises(UnsupportedProviderError, match="did you mean 'openai'"):
            LLMGateway(Settings(), fallback_providers=["opnai"])
        with pytest.raises(ConfigurationError, match="fallback_providers must be a sequence of names, got str"):
            LLMGateway(Settings(), fallback_providers="openai")

    async def test_a_fallback_whose_maker_has_a_bug_still_ends_the_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The bug comes out as itself, and observers see the end."""

        def broken(_settings: Settings) -> MockProvider:
            raise ZeroDivisionError

        monkeypatch.setattr(registry, "_registered", {"broken": broken})
        recorder = RecordingObserver()
        gateway = LLMGateway(
            Settings(),
            fallback_providers=["broken"],
            observers=[recorder],
            providers={"llamaserver": MockProvider([Failure(ErrorCategory.SERVER)])},
        )
        with pytest.raises(ZeroDivisionError):
            await gateway.complete("Why?")
        assert recorder.end.outcome == "error"


class TestBrokenStreams:
    """What breaks after the first piece is an error that keeps everything."""

    async def test_nobody_else_is_asked_and_nothing_is_lost(self) -> None:
        """The error has the text, the estimated tokens and their cost; the fallback is not asked."""
        gateway = ScriptedGateway(
            llamaserver=[Failure(ErrorCategory.AUTH)],
            openai=[Failure(ErrorCategory.PROTOCOL, chunks=["The ", "s", "k", "y"])],
        )
        stream = gateway.complete_stream("Why is the sky blue?")
        assert [(await anext(stream)).text for _ in range(4)] == ["The ", "s", "k", "y"]
        with pytest.raises(LLMServerError) as caught:
            await anext(stream)
        error = caught.value
        assert error.partial_text == "The sky"
        # 20 bytes of prompt at four to a token, and four pieces.
        assert (error.prompt_tokens, error.completion_tokens, error.usage_source) == (5, 4, "estimated")
        assert error.cost_usd == 5 * Decimal("0.0000004") + 4 * Decimal("0.0000016")
        assert [attempt.category for attempt in error.attempts] == [ErrorCategory.AUTH, ErrorCategory.PROTOCOL]
        assert isinstance(error.__cause__, BackendError)
        assert gateway.recorder.end.partial is error.partial
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    async def test_the_first_provider_breaking_late_does_not_fall_back(self) -> None:
        """After output there is no second try, although another provider is there."""
        gateway = ScriptedGateway(
            llamaserver=[Failure(ErrorCategory.CONNECTION, chunks=["The "])], openai=[Answer(text="a")]
        )
        with pytest.raises(LLMConnectionError) as caught:
            await listen(gateway)
        assert caught.value.partial_text == "The "
        assert gateway.asked("openai") == []

    async def test_what_the_backend_had_counted_is_not_estimated(self) -> None:
        """Reported input tokens are kept; only the missing half is estimated."""
        failure = Failure(ErrorCategory.SERVER, chunks=["The "], usage=Usage(input_tokens=77))
        with pytest.raises(LLMServerError) as caught:
            await listen(ScriptedGateway(llamaserver=[failure]))
        assert (caught.value.prompt_tokens, caught.value.completion_tokens) == (77, 1)
        assert caught.value.usage_source == "estimated"


async def listen(gateway: LLMGateway) -> None:
    async for _ in gateway.complete_stream("Why?"):
        pass


class TestChains:
    """Deployments of their own for prompts that are too long, and for those that are blocked."""

    @pytest.mark.parametrize("category", ["context_length", "content_filter"])
    async def test_everybody_of_a_chain_is_asked_once(self, ask: Ask, category: str) -> None:
        """When all of them refuse as the first one did, the call ends."""
        failure = Failure(ErrorCategory(category))
        chain = [{"provider": "openai"}, {"provider": "anthropic"}]
        routes = {"r": {"deployments": [{"provider": "llamaserver"}], category: chain}}
        settings = Settings(agents={"default": {"route": "r"}}, routing={"routes": routes})
        async with ScriptedGateway(
            settings=settings, llamaserver=[failure], openai=[failure], anthropic=[failure]
        ) as gateway:
            with pytest.raises(AllAttemptsFailedError) as caught:
                await ask(gateway)
        assert [cause.category for cause in caught.value.causes if isinstance(cause, LLMError)] == [category] * 3
