"""The response cache in front of calls: an answer is given again, whole and streamed, and costs nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, TypeAlias

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import Usage
from avionics.errors import CacheMissError, LLMError, LLMTimeoutError
from avionics.llm import LLMResponse
from avionics.settings import Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[LLMResponse]]

USAGE = Usage(input_tokens=1000, output_tokens=10)
USAGE_COST = Decimal("0.000416")  # gpt-4.1-mini: 0.40 USD in and 1.60 USD out for a million tokens


def gateway_of(*script: Step, **cache: Any) -> ScriptedGateway:
    settings = Settings(llm_provider="openai", cache={"backend": "memory", "all": True, **cache})
    return ScriptedGateway(settings=settings, openai=list(script))


async def test_the_same_question_is_answered_once(ask: Ask) -> None:
    """The second answer is the first one, for nothing; records and response say so, and what it saved."""
    gateway = gateway_of(Answer(chunks=["Ray", "leigh."], usage=USAGE))
    first, second = await ask(gateway), await ask(gateway)
    assert (second.text, second.model, second.provider) == (first.text, first.model, first.provider)
    assert (first.cost_usd, second.cost_usd, second.metadata["saved_usd"]) == (USAGE_COST, Decimal(0), USAGE_COST)
    assert (first.metadata["cache"], second.metadata["cache"]) == ("miss", "hit")
    miss, hit = gateway.recorder.finished
    assert (miss.cache, hit.cache, hit.attempts) == ("miss", "hit", ())
    assert (hit.saved_usd, hit.cost_usd) == (USAGE_COST, Decimal(0))
    assert len(gateway.recorder.started) == 2
    assert gateway.get_stats().calls == 2


async def test_a_stream_is_replayed_as_a_stream() -> None:
    """In the pieces in which it came; what came whole is one piece."""
    gateway = gateway_of(Answer(chunks=["Ray", "leigh."], usage=USAGE))
    for _ in range(2):
        assert [chunk.text async for chunk in gateway.complete_stream("Why?")] == ["Ray", "leigh.", ""]
    assert (await gateway.complete("Why?")).text == "Rayleigh."


async def test_another_question_tenant_or_model_is_another_entry() -> None:
    """Nothing is shared that differs."""
    gateway = gateway_of(*[Answer(text=str(number), usage=USAGE) for number in range(4)])
    await gateway.complete("Why?")
    await gateway.complete("Why not?")
    await gateway.complete("Why?", tenant="a")
    await gateway.complete("Why?", max_tokens=5)
    assert len(gateway.asked("openai")) == 4


async def test_a_call_says_what_it_wants_of_the_cache() -> None:
    """`bypass` and `refresh` ask, `only` never does."""
    gateway = gateway_of(Answer(text="a"), Answer(text="b"), Answer(text="c"))
    with pytest.raises(CacheMissError):
        await gateway.complete("Why?", cache="only")
    assert (await gateway.complete("Why?")).text == "a"
    assert (await gateway.complete("Why?", cache="only")).text == "a"
    assert (await gateway.complete("Why?", cache="bypass")).text == "b"
    assert (await gateway.complete("Why?")).text == "a"
    assert (await gateway.complete("Why?", cache="refresh")).text == "c"
    assert (await gateway.complete("Why?")).text == "c"


async def test_without_a_cache_only_is_an_error() -> None:
    """Nothing is sent."""
    gateway = ScriptedGateway(openai=[])
    with pytest.raises(CacheMissError, match="off"):
        await gateway.complete("Why?", cache="only")


async def test_of_calls_at_once_one_asks(ask: Ask) -> None:
    """The others get its answer, and pay nothing."""
    gateway = gateway_of(Answer(text="a", usage=USAGE))

    async def call() -> None:
        await ask(gateway)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)
    assert len(gateway.asked("openai")) == 1
    assert gateway.get_stats().cost_usd == USAGE_COST
    assert sorted(end.cache or "" for end in gateway.recorder.finished) == ["hit"] * 4 + ["miss"]


async def test_failures_and_left_streams_are_not_kept(ask: Ask) -> None:
    """The next call asks."""
    gateway = gateway_of(Failure(ErrorCategory.SERVER), Answer(chunks=["a", "b"]), Answer(text="c"))
    with pytest.raises(LLMError):
        await ask(gateway)
    async with gateway.complete_stream("Why?") as stream:
        await anext(stream)
    assert (await ask(gateway)).text == "c"


async def test_nothing_is_kept_that_may_differ_each_time(ask: Ask) -> None:
    """Unless the settings or the call say so, only temperature 0 and a seed are."""
    gateway = gateway_of(Answer(text="a"), Answer(text="b"), Answer(text="c"), all=False)
    assert [(await gateway.complete("Why?", temperature=1.0)).text for _ in range(2)] == ["a", "b"]
    assert [(await gateway.complete("Why?", temperature=0.0)).text for _ in range(2)] == ["c", "c"]


async def test_what_another_model_of_the_provider_answers_is_not_kept(ask: Ask) -> None:
    """The next call shall have the answer of the first one again."""
    deployments = [{"provider": "openai", "model": model} for model in ("gpt-4.1", "gpt-4o")]
    settings = Settings(
        agents={"default": {"route": "r"}},
        routing={"routes": {"r": {"deployments": deployments}}},
        cache={"backend": "memory", "all": True},
    )
    gateway = ScriptedGateway(
        settings=settings, openai=[Failure(ErrorCategory.SERVER), Answer(text="other"), Answer(text="own")]
    )
    assert [(await ask(gateway)).text for _ in range(3)] == ["other", "own", "own"]


class TestTime:
    """The time of a call."""

    @pytest.fixture(params=VIRTUAL_BACKENDS)
    def anyio_backend(self, request: pytest.FixtureRequest) -> tuple[str, object]:
        """Event loops on which time jumps."""
        return virtual_backend(request.param)

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_waiting_for_another_calls_answer_counts(self, *, streamed: bool) -> None:
        """It ends at the deadline, asks nobody, and keeps nobody from the answer."""
        settings = Settings(llm_provider="openai", cache={"backend": "memory", "all": True, "wait": 100})
        gateway = ScriptedGateway(settings=settings, clock=LoopClock(), openai=[Answer(text="a", delay=20)])

        async def impatient() -> None:
            asked = (
                anext(gateway.complete_stream("Why?", timeout=5)) if streamed else gateway.complete("Why?", timeout=5)
            )
            with pytest.raises(LLMTimeoutError, match="no answer within 5 s"):
                await asked
            assert anyio.current_time() - began == pytest.approx(6)

        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.complete, "Why?")
            await anyio.sleep(1)
            tasks.start_soon(impatient)
            assert (await gateway.complete("Why?", timeout=60)).text == "a"
        assert len(gateway.asked("openai")) == 1
