"""The gateway gives a priced answer, asks the callbacks, and refuses what nobody could be asked."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeAlias

import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import FinishReason, InferenceRequest, Message, ToolCall, Usage
from avionics.errors import (
    LLMInvalidRequestError,
    QuotaExceededError,
)
from avionics.llm import LLMGateway, LLMResponse, MockProvider, StreamingChunk
from avionics.settings import Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[LLMResponse]]

USAGE = Usage(input_tokens=1000, output_tokens=10)
USAGE_COST = Decimal("0.000416")  # gpt-4.1-mini: 0.40 USD in and 1.60 USD out for a million tokens


class TestAnswers:
    """What a caller gets."""

    async def test_a_whole_answer_has_every_field(self) -> None:
        """Text, tokens, cost, time, and who answered."""
        gateway = ScriptedGateway(
            llamaserver=[Failure(ErrorCategory.AUTH)],
            openai=[Answer(text="Rayleigh.", usage=USAGE, model="gpt-4.1-mini-2025")],
        )
        response = await gateway.complete("Why is the sky blue?", system="Be brief.", agent_name="planner")
        assert (response.text, response.tool_calls, response.streamed) == ("Rayleigh.", (), False)
        assert (response.prompt_tokens, response.completion_tokens, response.tokens_used) == (1000, 10, 1010)
        assert (response.provider, response.model, response.cost_usd) == ("openai", "gpt-4.1-mini-2025", USAGE_COST)
        assert response.latency_ms >= 0
        assert response.timestamp > 1_700_000_000
        assert response.metadata["finish_reason"] is FinishReason.STOP
        assert response.metadata["agent_name"] == "planner"

    async def test_the_request_is_what_was_asked(self) -> None:
        """System, history and prompt in this order, and the options as they were given."""
        gateway = ScriptedGateway(llamaserver=[Answer(text="a")])
        history = [Message("user", "Hi"), Message("assistant", "Hello")]
        await gateway.complete("Why?", system="Be brief.", messages=history, temperature=0.3, max_tokens=7, seed=1)
        (request,) = gateway.asked("llamaserver")
        assert request == InferenceRequest(
            messages=[Message("system", "Be brief."), *history, Message("user", "Why?")],
            model="gpt-4.1-mini",
            temperature=0.3,
            max_tokens=7,
            seed=1,
        )

    async def test_the_settings_have_the_temperature_of_calls_that_give_none(self) -> None:
        """`default_temperature` is used only where nothing was said."""
        provider = MockProvider([Answer(text="a")] * 2)
        gateway = LLMGateway(
            Settings(llm_provider="mock", default_temperature=0.2), observers=[], providers={"mock": provider}
        )
        await gateway.complete("Why?")
        await gateway.complete("Why?", temperature=0.0)
        assert [request.temperature for _, request in provider.script.calls] == [0.2, 0.0]

    async def test_a_stream_says_the_text_in_pieces_and_ends_once(self) -> None:
        """Every chunk knows its call; the last one is empty and has the backend's own number of tokens."""
        gateway = ScriptedGateway(
            llamaserver=[
                Answer(chunks=["The ", "sky"], usage=Usage(input_tokens=3, output_tokens=7), model="tiny.gguf")
            ]
        )
        stream = gateway.complete_stream("What is above?", agent_name="synthesizer")
        chunks = [chunk async for chunk in stream]
        assert [(chunk.text, chunk.is_final, chunk.cumulative_tokens) for chunk in chunks] == [
            ("The ", False, 1),
            ("sky", False, 2),
            ("", True, 7),
        ]
        assert {(chunk.agent_name, chunk.provider) for chunk in chunks} == {("synthesizer", "llamaserver")}
        assert [chunk.model for chunk in chunks] == ["gpt-4.1-mini", "gpt-4.1-mini", "tiny.gguf"]
        assert {chunk.request_id for chunk in chunks} == {gateway.recorder.started[0].call_id}
        assert (stream.response.text, stream.response.streamed) == ("The sky", True)
        assert (stream.response.tokens_used, stream.response.cost_usd) == (10, Decimal(0))
        assert gateway.scripted["llamaserver"].script.open_streams == 0

    async def test_without_a_reported_number_the_pieces_are_counted(self) -> None:
        """Reasoning counts too; the response leaves unknown what the backend did not say."""
        gateway = ScriptedGateway(llamaserver=[Answer(chunks=["The ", "sky"], reasoning="Hm.")])
        stream = gateway.complete_stream("What is above?")
        assert [chunk.cumulative_tokens async for chunk in stream] == [2, 3, 3]
        assert (stream.response.completion_tokens, stream.response.tokens_used) == (None, None)

    async def test_tool_calls_are_in_the_response(self, ask: Ask) -> None:
        """An answer that is only a tool call is an answer."""
        call = ToolCall(id="1", name="look", arguments="{}")
        gateway = ScriptedGateway(llamaserver=[Answer(tool_calls=[call])], openai=[])
        response = await ask(gateway)
        assert (response.text, response.tool_calls) == ("", (call,))

    async def test_a_stream_sends_nothing_before_it_is_read_and_has_no_response_before_its_end(self) -> None:
        """Making a stream costs nothing; asking it for its response too early is an error."""
        gateway = ScriptedGateway(llamaserver=[Answer(text="a")])
        stream = gateway.complete_stream("Why?")
        assert gateway.asked("llamaserver") == []
        with pytest.raises(RuntimeError, match="read it to its end first"):
            _ = stream.response
        await stream.aclose()
        assert (gateway.recorder.started, gateway.recorder.finished) == ([], [])
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    async def test_a_model_that_is_not_listed_has_no_known_cost(self, ask: Ask) -> None:
        """Unknown is None."""
        gateway = ScriptedGateway(llamaserver=[Failure(ErrorCategory.AUTH)], openai=[Answer(text="a", usage=USAGE)])
        gateway.scripted["openai"].default_model = "no-such-model"
        response = await ask(gateway)
        assert (response.tokens_used, response.cost_usd) == (1010, None)


class TestCallbacks:
    """Quota and chunks."""

    async def test_a_reason_of_the_resource_callback_stops_the_call(self, ask: Ask) -> None:
        """Nothing is sent, and the reason is in the error."""
        gateway = ScriptedGateway(llamaserver=[Answer(text="a")])
        gateway.set_resource_callback(lambda tokens_in, tokens_out: "out of tokens")
        with pytest.raises(QuotaExceededError, match="out of tokens"):
            await ask(gateway)
        assert gateway.asked("llamaserver") == []
        assert gateway.recorder.started == []

    async def test_the_resource_callback_gets_an_estimate_before_and_the_truth_after(self, ask: Ask) -> None:
        """Two calls: what may be used, and what was."""
        seen: list[tuple[int, int]] = []
        gateway = ScriptedGateway(llamaserver=[Answer(text="a", usage=USAGE)] * 2)

        def see(tokens_in: int, tokens_out: int) -> None:
            seen.append((tokens_in, tokens_out))

        gateway.set_resource_callback(see)
        await ask(gateway, prompt="x" * 40)
        await gateway.complete("x" * 40, max_tokens=7)
        assert seen == [(10, 0), (1000, 10), (10, 7), (1000, 10)]

    async def test_a_reason_after_the_call_is_logged_and_the_answer_kept(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What is paid for belongs to the caller; the next call is refused by the callback itself."""
        gateway = LLMGateway(
            Settings(llm_provider="mock"),
            observers=[],
            logger=_logger(),
            resource_callback=lambda tokens_in, tokens_out: "spent" if tokens_out else None,
        )
        assert (await gateway.complete("Hi")).text == "Hi"
        assert "the quota is exceeded by the call that just ended: spent" in caplog.text

    async def test_a_failing_resource_callback_stops_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is reported once."""

        def broken(tokens_in: int, tokens_out: int) -> str | None:
            raise ValueError("quota")

        gateway = LLMGateway(Settings(llm_provider="mock"), observers=[], logger=_logger(), resource_callback=broken)
        assert (await gateway.complete("Hi")).text == "Hi"
        assert len(caplog.records) == 1

    async def test_the_streaming_callback_gets_every_chunk(self, caplog: pytest.LogCaptureFixture) -> None:
        """The same chunks in the same order; one that raises is reported once and stops nothing."""
        told: list[StreamingChunk] = []

        def tell(chunk: StreamingChunk) -> None:
            told.append(chunk)
            raise ValueError("callback")

        gateway = LLMGateway(Settings(llm_provider="mock"), observers=[], logger=_logger(), streaming_callback=tell)
        chunks = [chunk async for chunk in gateway.complete_stream("one two")]
        assert told == chunks
        assert [chunk.text for chunk in chunks] == ["one", " two", ""]
        assert len(caplog.records) == 1
        gateway.set_streaming_callback(None)
        assert [chunk.text async for chunk in gateway.complete_stream("one two")] == ["one", " two", ""]
        assert len(told) == 3


class TestBadInput:
    """One clear error that names the field."""

    @pytest.mark.parametrize(
        ("prompt", "options", "said"),
        [
            (None, {}, "prompt and messages are both missing"),
            ("  ", {}, "prompt must not be empty"),
            ("Hi", {"max_tokens": -1}, "max_tokens must be at least 1, got -1"),
            ("Hi", {"temperature": -1.0}, "temperature must be 0 or more"),
            ("Hi", {"system": 3}, "system must be a text, got int"),
            (b"Hi", {}, "prompt must be a text, got bytes"),
        ],
    )
    async def test_what_nobody_could_be_asked_is_refused(
        self, prompt: str | None, options: dict[str, int], said: str
    ) -> None:
        """Before anything is sent, streamed or not."""
        gateway = ScriptedGateway(llamaserver=[Answer(text="a")])
        with pytest.raises(LLMInvalidRequestError, match=said):
            await gateway.complete(prompt, **options)  # type: ignore[arg-type]  # the point of this test
        with pytest.raises(LLMInvalidRequestError, match=said):
            gateway.complete_stream(prompt, **options)  # type: ignore[arg-type]  # the point of this test
        assert gateway.recorder.started == []


class TestLifecycle:
    """Statistics, observers and closing."""

    async def test_without_observers_opentelemetry_watches(self) -> None:
        """The default observer does no harm where no SDK is set up."""
        gateway = LLMGateway(Settings(llm_provider="mock"))
        assert (await gateway.complete("Hi")).text == "Hi"

    async def test_statistics_add_up(self) -> None:
        """Every ended call is in one outcome, with its attempts, tokens and cost."""
        gateway = ScriptedGateway(
            llamaserver=[
                Failure(ErrorCategory.OVERLOADED),
                Failure(ErrorCategory.INVALID_REQUEST),
                Answer(chunks=["a", "b"]),
            ],
            openai=[Answer(text="a", usage=USAGE)],
        )
        await gateway.complete("Why?")
        with pytest.raises(LLMInvalidRequestError):
            await gateway.complete("Why?")
        async with gateway.complete_stream("Why?") as left:
            await anext(left)
        stats = gateway.get_stats()
        assert (stats.calls, stats.successes, stats.errors, stats.abandoned, stats.cancelled) == (3, 1, 1, 1, 0)
        assert (stats.attempts, stats.fallbacks, stats.retries) == (4, 1, 0)
        assert (stats.prompt_tokens, stats.completion_tokens, stats.cost_usd) == (1001, 11, USAGE_COST)
        assert stats.answers_by_provider == {"openai": 1}

    async def test_closing_leaves_given_providers_alone(self) -> None:
        """The gateway closes what it made."""
        closed: list[str] = []

        class Closing(MockProvider):
            async def close(self) -> None:
                closed.append("given")

        async with LLMGateway(Settings(llm_provider="mock"), observers=[], providers={"mock": Closing()}) as gateway:
            assert (await gateway.complete("Hi")).text == "Hi"
        assert closed == []


def _logger() -> logging.Logger:
    return logging.getLogger("test_gateway")
