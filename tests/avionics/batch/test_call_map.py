"""Many calls by one gateway: order, failures, look-ahead, progress, and their end."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Iterator, Sequence
from decimal import Decimal
from typing import Any

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import InferenceRequest, Message, Usage
from avionics.errors import LLMAuthenticationError, LLMInvalidRequestError
from avionics.llm.batch import BatchProgress, BatchResult, CallRequest
from avionics.llm.batch.call_request import Request
from avionics.settings import PriceRow
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

ENDLESS = 10_000


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, object]:
    """Event loops on which time jumps."""
    return virtual_backend(request.param)


def slow(seconds: float, text: str = "a") -> Answer:
    return Answer(text=text, delay=seconds)


def gateway_of(steps: Sequence[Step] | Iterator[Step]) -> ScriptedGateway:
    price = PriceRow(provider="openai", input_per_million=Decimal(1_000_000), output_per_million=Decimal(0))
    return ScriptedGateway(clock=LoopClock(), prices=[price], openai=steps)


def texts(results: Sequence[BatchResult]) -> list[str | None]:
    return [result.response.text if result.response else None for result in results]


def echo(request: InferenceRequest) -> Answer:
    """The words of the prompt, after as many seconds as it has letters."""
    text = request.messages[-1].text
    return Answer(text=text, delay=len(text))


class TestResults:
    """What comes out."""

    async def test_results_come_in_the_order_of_their_requests(self) -> None:
        """However long each takes; and they take as long as the longest, not as all of them."""
        prompts = ["ccc", "a", "bb"]
        results = [result async for result in gateway_of([echo] * 3).map(prompts)]
        assert texts(results) == prompts
        assert [result.index for result in results] == [0, 1, 2]
        assert anyio.current_time() == pytest.approx(3)

    async def test_or_as_they_are_there(self) -> None:
        """The index tells which request it is the answer to."""
        results = [result async for result in gateway_of([echo] * 3).map(["ccc", "a", "bb"], ordered=False)]
        assert [(result.index, text) for result, text in zip(results, texts(results), strict=True)] == [
            (1, "a"),
            (2, "bb"),
            (0, "ccc"),
        ]

    async def test_a_call_that_fails_is_a_result(self) -> None:
        """Neither the others nor the reader are disturbed."""
        gateway = gateway_of(["one", Failure(ErrorCategory.AUTH), "three"])
        results = [result async for result in gateway.map(["a", "b", "c"], concurrency=1)]
        assert texts(results) == ["one", None, "three"]
        assert isinstance(results[1].error, LLMAuthenticationError)
        assert [result.error for result in (results[0], results[2])] == [None, None]

    async def test_a_request_that_is_none_is_a_failed_call(self) -> None:
        """The error names what is wrong, and nothing is sent."""
        given: list[Any] = [{"prompt": "a", "temprature": 1}, 7, ""]
        results = [result async for result in gateway_of([]).map(given)]
        assert all(isinstance(result.error, LLMInvalidRequestError) for result in results)
        assert "temprature" in str(results[0].error)
        assert "got int" in str(results[1].error)
        assert "prompt must not be empty" in str(results[2].error)

    async def test_every_form_of_a_request_is_asked(self) -> None:
        """A prompt, a mapping, a `CallRequest`; what one does not state is taken from the arguments of `map`."""
        gateway = gateway_of([echo] * 3)
        requests: list[Request] = [
            "a",
            {"prompt": "b", "id": "second", "temperature": 0.5},
            CallRequest(prompt="c", system="Alone.", id="third", options={"messages": [Message("user", "Before.")]}),
        ]
        results = [result async for result in gateway.map(requests, system="All.", temperature=0, concurrency=1)]
        assert [result.id for result in results] == [None, "second", "third"]
        asked = gateway.asked("openai")
        assert [request.temperature for request in asked] == [0, 0.5, 0]
        assert [[message.text for message in request.messages] for request in asked] == [
            ["All.", "a"],
            ["All.", "b"],
            ["Alone.", "Before.", "c"],
        ]

    async def test_no_requests_are_no_results(self) -> None:
        """An empty list ends at once."""
        assert [result async for result in gateway_of([]).map([])] == []


class TestLookAhead:
    """How many calls are under way, and how many requests are taken."""

    @pytest.mark.parametrize("ordered", [True, False])
    async def test_no_more_calls_than_allowed_are_under_way(self, ordered: bool) -> None:
        """Twelve calls of a second each, three at once, take four seconds."""
        results = gateway_of([slow(1)] * 12).map(["x"] * 12, concurrency=3, ordered=ordered)
        assert len([result async for result in results]) == 12
        assert anyio.current_time() == pytest.approx(4)

    @pytest.mark.parametrize("ordered", [True, False])
    async def test_requests_are_taken_as_results_are_read(self, ordered: bool) -> None:
        """A reader that stops holds the calls up: of an endless supply, few are taken."""
        taken: list[int] = []

        def supply() -> Iterator[str]:
            for number in range(ENDLESS):
                taken.append(number)
                yield "x"

        gateway = gateway_of(iter([slow(1)] * ENDLESS))
        async with gateway.map(supply(), concurrency=3, ordered=ordered) as results:
            for read in range(1, 4):
                await anext(results)
                await anyio.sleep(60)
                assert len(taken) == read + 6

    async def test_requests_may_come_over_time(self) -> None:
        """An async iterable is read while calls are made."""

        async def supply() -> AsyncGenerator[str]:
            for prompt in ("a", "b"):
                await anyio.sleep(10)
                yield prompt

        results = [result async for result in gateway_of([echo] * 2).map(supply())]
        assert texts(results) == ["a", "b"]
        assert anyio.current_time() == pytest.approx(21)

    async def test_an_error_of_the_supply_comes_after_the_results(self) -> None:
        """What was asked before is answered first."""

        def supply() -> Iterator[str]:
            yield "aa"
            raise OSError("the file is gone")

        results = gateway_of([echo]).map(supply())
        assert texts([await anext(results)]) == ["aa"]
        with pytest.raises(OSError, match="the file is gone"):
            await anext(results)
        with pytest.raises(StopAsyncIteration):
            await anext(results)

    @pytest.mark.parametrize("concurrency", [0, -1])
    async def test_somebody_has_to_work(self, concurrency: int) -> None:
        """Without workers there would be no result, ever."""
        with pytest.raises(ValueError, match="concurrency must be at least 1"):
            gateway_of([]).map([], concurrency=concurrency)

    async def test_a_text_is_not_many_requests(self) -> None:
        """It would be asked letter by letter."""
        with pytest.raises(TypeError, match="wrap it in a list"):
            gateway_of([]).map("Why?")


class TestProgress:
    """How far the calls are."""

    async def test_it_counts_calls_failures_and_cost(self) -> None:
        """After every call, also for what failed; the total is known where requests have a length."""
        told: list[BatchProgress] = []
        usage = Usage(input_tokens=2, output_tokens=1)
        gateway = gateway_of(
            [Answer(text="a", usage=usage), Failure(ErrorCategory.AUTH), Answer(text="b", usage=usage)]
        )
        results = gateway.map(["a", "b", "c"], concurrency=1, on_progress=told.append)
        assert results.progress == BatchProgress(total=3)
        async for _ in results:
            pass
        assert told == [
            BatchProgress(done=1, total=3, cost_usd=Decimal(2)),
            BatchProgress(done=2, failed=1, total=3, cost_usd=Decimal(2)),
            BatchProgress(done=3, failed=1, total=3, cost_usd=Decimal(4)),
        ]
        assert results.progress == told[-1]

    async def test_the_total_of_a_supply_is_unknown(self) -> None:
        """None, never a guess."""
        assert gateway_of([]).map(iter(["a"])).progress.total is None

    async def test_a_callback_that_fails_harms_no_call(self) -> None:
        """It is reported to the log, and the results come."""

        def fail(_: BatchProgress) -> None:
            raise RuntimeError("a bug")

        assert texts([result async for result in gateway_of([echo]).map(["a"], on_progress=fail)]) == ["a"]


class TestEnd:
    """Leaving before the last result."""

    async def test_leaving_the_context_ends_the_calls(self) -> None:
        """Those under way are cancelled before the context is left, and recorded so; no others are made."""
        gateway = gateway_of(iter([slow(1), *[slow(3600)] * ENDLESS]))
        async with gateway.map(["x"] * ENDLESS, concurrency=2) as results:
            await anext(results)
            await anyio.sleep(10)
        assert anyio.current_time() == pytest.approx(11)
        outcomes = [end.outcome for end in gateway.recorder.finished]
        assert outcomes == ["success", "cancelled", "cancelled"]
        assert len(gateway.recorder.started) == 3
        with pytest.raises(StopAsyncIteration):
            await anext(results)

    async def test_an_object_that_is_dropped_ends_the_calls(self) -> None:
        """`break` out of a plain loop."""
        gateway = gateway_of(iter([slow(1), *[slow(3600)] * ENDLESS]))
        async for _ in gateway.map(["x"] * ENDLESS, concurrency=2):
            break
        gc.collect()
        await anyio.sleep(10)
        assert [end.outcome for end in gateway.recorder.finished] == ["success", "cancelled", "cancelled"]

    async def test_a_caller_that_is_cancelled_ends_the_calls(self) -> None:
        """Deadlines of the caller hold for all of it."""
        gateway = gateway_of(iter([slow(3600)] * 2))
        with anyio.move_on_after(5):
            async for _ in gateway.map(["x"] * ENDLESS, concurrency=2):
                pytest.fail("nothing is answered in time")
        assert anyio.current_time() == pytest.approx(5)
        assert [end.outcome for end in gateway.recorder.finished] == ["cancelled"] * 2

    async def test_a_supply_is_closed_that_was_not_read_to_its_end(self) -> None:
        """An async generator does what it has to do at its end, in time."""
        closed: list[str] = []

        async def supply() -> AsyncGenerator[str]:
            try:
                for _ in range(ENDLESS):
                    yield "x"
            finally:
                closed.append("yes")

        async with gateway_of(iter([slow(1)] * ENDLESS)).map(supply(), concurrency=1) as results:
            await anext(results)
        assert closed == ["yes"]

    async def test_results_may_be_read_in_other_tasks(self) -> None:
        """The object belongs to no task: one reads the first result, another one the rest."""
        results = gateway_of([echo] * 2).map(["a", "bb"], concurrency=1)
        read: list[BatchResult] = []

        async def read_one() -> None:
            read.append(await anext(results))

        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read_one)
        assert texts(read) == ["a", "bb"]
        await results.aclose()

    async def test_nothing_is_asked_before_somebody_reads(self) -> None:
        """An object that is never read has no tasks to end."""
        gateway = gateway_of([])
        async with gateway.map(["a"]):
            await anyio.sleep(10)
        assert gateway.recorder.started == []
