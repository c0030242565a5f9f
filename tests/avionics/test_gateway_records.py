"""What observers of the gateway are told: one beginning, every attempt, one end, on every path."""

from __future__ import annotations

import gc
import logging
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeAlias

import anyio
import anyio.lowlevel
import pytest

from airframe.errors import BackendError, ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import Attempt, FinishReason, Message, Usage
from avionics.errors import (
    LLMServerError,
)
from avionics.llm import CostCalculator, CostMetrics, LLMGateway, LLMResponse
from avionics.llm.records import CallFinished
from avionics.settings import Settings
from avionics.testing import RecordingObserver, ScriptedGateway

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[LLMResponse]]

USAGE = Usage(input_tokens=1000, output_tokens=10)
USAGE_COST = Decimal("0.000416")  # gpt-4.1-mini: 0.40 USD in and 1.60 USD out for a million tokens


class TestRecords:
    """What observers are told: one beginning, every attempt, one end."""

    async def test_a_success_is_told_with_its_facts(self, ask: Ask) -> None:
        """The records say who was asked, where, for what, and what came of it."""
        gateway = ScriptedGateway(llamaserver=[Answer(text="a", usage=USAGE, model="tiny.gguf")])
        response = await ask(gateway)
        (start,) = gateway.recorder.started
        assert (start.provider, start.model, start.streamed) == ("llamaserver", "gpt-4.1-mini", response.streamed)
        assert (start.server_address, start.server_port) == ("mock.invalid", 80)
        assert start.request.messages == [Message("user", "Why?")]
        end = gateway.recorder.end
        (attempt,) = end.attempts
        assert (attempt.number, attempt.reason, attempt.category, attempt.error) == (1, "first", None, None)
        assert (attempt.response_model, attempt.finish_reason) == ("tiny.gguf", FinishReason.STOP)
        assert (attempt.usage, attempt.usage_source, attempt.cost_usd) == (USAGE, "reported", Decimal(0))
        assert (end.provider, end.model, end.usage, end.cost_usd) == ("llamaserver", "tiny.gguf", USAGE, Decimal(0))
        assert end.result is not None
        assert end.result.text == "a"
        assert start.started_at_ns <= end.ended_at_ns
        assert (end.time_to_first_event is not None) is response.streamed

    async def test_airframes_retries_are_attempts(self, ask: Ask) -> None:
        """What airframe tried at one endpoint is told one by one, numbered over the whole call."""
        error = BackendError("busy", category=ErrorCategory.OVERLOADED, status=503, code="busy")
        busy = Attempt(number=1, started_at=10.0, duration=0.5, category=ErrorCategory.OVERLOADED, status=503)
        error.attempts = [busy, busy]
        gateway = ScriptedGateway(llamaserver=[Failure(error)], openai=[Answer(text="a")])
        await ask(gateway)
        attempts = gateway.recorder.end.attempts
        assert [(one.number, one.reason, one.status) for one in attempts] == [
            (1, "first", 503),
            (2, "retry", 503),
            (3, "fallback", None),
        ]
        assert (attempts[0].started_at_ns, attempts[0].duration) == (10_000_000_000, 0.5)
        assert [one.error_code for one in attempts] == [None, "busy", None]

    async def test_cancellation_is_told_once_and_comes_out_untouched(self, ask: Ask) -> None:
        """A cancelled call ends as cancelled, asks nobody else, and gives its stream back."""
        gateway = ScriptedGateway(llamaserver=[Answer(text="a")], openai=[Answer(text="b")])
        with anyio.CancelScope() as scope:
            scope.cancel()
            await ask(gateway)
        assert scope.cancelled_caught
        end = gateway.recorder.end
        assert (end.outcome, end.category) == ("cancelled", ErrorCategory.CANCELLED)
        assert gateway.asked("openai") == []

    async def test_cancellation_in_the_middle_keeps_what_was_said(self) -> None:
        """Tokens of a cancelled stream are estimated and marked."""
        gateway = ScriptedGateway(llamaserver=[Answer(chunks=["a", "b", "c"])])
        stream = gateway.complete_stream("Why?")
        with anyio.CancelScope() as scope:
            await anext(stream)
            scope.cancel()
            await anext(stream)
        end = gateway.recorder.end
        assert end.outcome == "cancelled"
        assert end.partial is not None
        assert end.partial.text == "a"
        assert (end.attempts[0].usage_source, end.usage) == (
            "estimated",
            Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        )
        assert gateway.scripted["llamaserver"].script.open_streams == 0

    @pytest.mark.parametrize("way", ["context", "aclose", "forget"])
    async def test_a_stream_that_is_left_is_abandoned_once(self, way: str) -> None:
        """Leaving the context, closing, and breaking out of a forgotten stream each end the call, once."""
        gateway = ScriptedGateway(llamaserver=[Answer(chunks=["a", "b", "c"])])
        if way == "context":
            async with gateway.complete_stream("Why?") as stream:
                await anext(stream)
        elif way == "aclose":
            stream = gateway.complete_stream("Why?")
            await anext(stream)
            await stream.aclose()
            await stream.aclose()
        else:
            async for _ in gateway.complete_stream("Why?"):
                break
            gc.collect()
            await gateway.aclose()
        end = gateway.recorder.end
        assert (end.outcome, end.category) == ("abandoned", ErrorCategory.CANCELLED)
        assert end.attempts[0].usage == Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        assert gateway.scripted["llamaserver"].script.open_streams == 0

    async def test_a_stream_that_is_closed_while_it_is_read_ends_once(self) -> None:
        """One task reads, another one closes: the call has one end, and nothing is told after it."""
        gateway = ScriptedGateway(llamaserver=[Answer(chunks=["a"] * 100)])
        stream = gateway.complete_stream("Why?")

        async def read() -> None:
            with pytest.raises(LLMServerError, match="ended before its answer did"):
                async for _ in stream:
                    pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            while not gateway.scripted["llamaserver"].script.open_streams:
                await anyio.lowlevel.checkpoint()
            await stream.aclose()
        end = gateway.recorder.end
        assert (end.outcome, len(end.attempts)) == ("abandoned", 1)

    async def test_a_fault_that_is_no_backends_comes_out_as_itself(self, ask: Ask) -> None:
        """A bug is neither hidden behind a fallback nor left without an end."""
        gateway = ScriptedGateway(llamaserver=[], openai=[Answer(text="a")])
        with pytest.raises(RuntimeError, match="no step for call 1"):
            await ask(gateway)
        assert gateway.recorder.end.outcome == "error"
        assert gateway.asked("openai") == []

    async def test_failing_observers_and_prices_never_fail_a_call_and_are_reported_once(
        self, ask: Ask, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Each is logged the first time it raises; the others are told all the same."""

        class Broken(RecordingObserver):
            def call_finished(self, end: CallFinished, /) -> None:
                raise ValueError("observer")

        class Unpriced(CostCalculator):
            def calculate_cost(self, *_args: object, **_details: object) -> CostMetrics:
                raise ValueError("prices")

        recorder = RecordingObserver()
        gateway = LLMGateway(
            Settings(llm_provider="mock"), observers=[Broken(), recorder], cost_calculator=Unpriced(), logger=_logger()
        )
        for _ in range(2):
            assert (await ask(gateway, "Hi")).cost_usd is None
        assert len(recorder.finished) == 2
        assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["cost_calculator", "Broken"]


def _logger() -> logging.Logger:
    return logging.getLogger("test_gateway")
