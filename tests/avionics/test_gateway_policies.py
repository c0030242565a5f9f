"""What routes say of time: deadlines and their shares, hedges, cooldowns, what is held back, and broken answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import InferenceRequest, Message, Usage
from avionics.errors import AllAttemptsFailedError, LLMError, LLMServerError, LLMTimeoutError, NoDeploymentError
from avionics.llm import LLMGateway, LLMResponse, MockProvider
from avionics.llm.records import CallStarted
from avionics.settings import Settings
from avionics.testing import RecordingObserver, ScriptedGateway

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[LLMResponse]]


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, object]:
    """Event loops on which time jumps."""
    return virtual_backend(request.param)


def gateway_of(
    *, health: dict[str, float] | None = None, policy: dict[str, Any], **scripts: Sequence[Step]
) -> ScriptedGateway:
    """A gateway with one route over the scripted providers, in order."""
    deployments = [{"provider": name} for name in scripts]
    settings = Settings(
        agents={"default": {"route": "r"}},
        routing={"routes": {"r": {"deployments": deployments, **policy}}, "health": health or {}},
    )
    named: dict[str, Any] = dict(scripts)
    return ScriptedGateway(settings=settings, clock=LoopClock(), **named)


def reasons(gateway: ScriptedGateway) -> list[tuple[str, str, str | None]]:
    return [(one.provider, one.reason, one.category) for one in gateway.recorder.end.attempts]


class TestDeadlines:
    """One limit for all of a call."""

    async def test_a_slow_primary_leaves_its_fallback_time(self, ask: Ask) -> None:
        """It gets half of what is left; the fallback, as the last one, all the rest."""
        gateway = gateway_of(
            policy={"total": 60}, llamaserver=[Answer(text="late", delay=3600)], openai=[Answer(text="a", delay=29)]
        )
        assert (await ask(gateway)).text == "a"
        assert reasons(gateway) == [("llamaserver", "first", "timeout"), ("openai", "fallback", None)]

    async def test_when_time_is_over_nobody_else_is_asked(self, ask: Ask) -> None:
        """Each of the slow ones had its share, and the call ended when it was said to end."""
        gateway = gateway_of(
            policy={"total": 60},
            llamaserver=[Answer(text="late", delay=3600)],
            openai=[Answer(text="late", delay=3600)],
            anthropic=[Answer(text="late", delay=3600)],
        )
        began = anyio.current_time()
        with pytest.raises(AllAttemptsFailedError) as caught:
            await ask(gateway)
        assert anyio.current_time() - began == pytest.approx(60)
        assert caught.value.category == ErrorCategory.TIMEOUT
        assert len(caught.value.causes) == 3

    async def test_the_callers_own_limit_is_shared_too(self, ask: Ask) -> None:
        """A scope around the call is respected, and leaves the fallback its half."""
        gateway = gateway_of(
            policy={}, llamaserver=[Answer(text="late", delay=3600)], openai=[Answer(text="a", delay=4)]
        )
        with anyio.fail_after(10):
            assert (await ask(gateway)).text == "a"

    async def test_a_call_may_say_its_own_limit(self) -> None:
        """`timeout` wins over the route's `total`, and also ends a stream that has begun."""
        gateway = gateway_of(policy={"total": 60}, llamaserver=[Answer(chunks=["a", "b", "c"], pause=4)])
        stream = gateway.complete_stream("Why?", timeout=6)
        assert [(await anext(stream)).text, (await anext(stream)).text] == ["a", "b"]
        with pytest.raises(LLMTimeoutError) as caught:
            await anext(stream)
        assert caught.value.partial_text == "ab"
        assert gateway.recorder.end.outcome == "error"


class TestHedging:
    """A second deployment beside a silent one."""

    async def test_the_second_is_asked_when_the_first_is_silent(self, ask: Ask) -> None:
        """Whoever answers first wins; the other is cancelled, on record, and paid for."""
        gateway = gateway_of(
            policy={"hedge": {"after": 2}},
            llamaserver=[Answer(text="late", delay=3600)],
            openai=[Answer(text="a", delay=1, usage=Usage(input_tokens=10, output_tokens=1))],
        )
        began = anyio.current_time()
        response = await ask(gateway)
        assert (response.text, response.provider) == ("a", "openai")
        assert anyio.current_time() - began == pytest.approx(3)
        assert sorted(reasons(gateway)) == [("llamaserver", "first", "cancelled"), ("openai", "hedge", None)]
        assert gateway.recorder.end.provider == "openai"
        assert gateway.scripted["llamaserver"].script.open_streams == 0

    async def test_of_two_answers_at_the_same_moment_one_wins(self, ask: Ask) -> None:
        """The other is left: on record as cancelled, and with no stream open."""
        gateway = gateway_of(
            policy={"hedge": {"after": 1}},
            llamaserver=[Answer(text="a", delay=2)],
            openai=[Answer(text="a", delay=1)],
        )
        assert (await ask(gateway)).text == "a"
        assert sorted(str(category) for _, _, category in reasons(gateway)) == ["None", "cancelled"]
        assert all(each.in_flight == 0 for each in gateway.get_stats().deployments.values())
        assert all(provider.script.open_streams == 0 for provider in gateway.scripted.values())

    async def test_a_fast_answer_is_not_hedged(self, ask: Ask) -> None:
        """Nobody else is asked."""
        gateway = gateway_of(policy={"hedge": {"after": 2}}, llamaserver=[Answer(text="a", delay=1)], openai=[])
        assert (await ask(gateway)).text == "a"

    async def test_a_failure_is_answered_at_once_and_both_may_fail(self, ask: Ask) -> None:
        """A fallback needs no hedge; when all fail, every cause is in the error."""
        gateway = gateway_of(
            policy={"hedge": {"after": 2}},
            llamaserver=[Failure(ErrorCategory.SERVER)],
            openai=[Answer(text="late", delay=3)],
            anthropic=[Failure(ErrorCategory.SERVER)],
        )
        assert (await ask(gateway)).text == "late"
        assert reasons(gateway)[0] == ("llamaserver", "first", "server")
        assert ("anthropic", "hedge", "server") in reasons(gateway)

    async def test_a_bug_comes_out_as_itself(self) -> None:
        """Not wrapped into a group."""
        gateway = gateway_of(policy={"hedge": {"after": 2}}, llamaserver=[], openai=[])
        with pytest.raises(RuntimeError, match="no step for call 1"):
            await gateway.complete("Why?")
        assert gateway.recorder.end.outcome == "error"

    async def test_a_cancelled_call_cancels_both(self, ask: Ask) -> None:
        """One end, and two attempts that were under way."""
        gateway = gateway_of(
            policy={"hedge": {"after": 2}},
            llamaserver=[Answer(text="late", delay=3600)],
            openai=[Answer(text="late", delay=3600)],
        )
        with anyio.move_on_after(5) as scope:
            await ask(gateway)
        assert scope.cancelled_caught
        assert gateway.recorder.end.outcome == "cancelled"
        assert [category for _, _, category in reasons(gateway)] == ["cancelled", "cancelled"]

    async def test_when_all_fail_the_call_ends(self, ask: Ask) -> None:
        """At once, with every cause."""
        gateway = gateway_of(
            policy={"hedge": {"after": 2}},
            llamaserver=[Failure(ErrorCategory.SERVER, delay=3)],
            openai=[Failure(ErrorCategory.SERVER, delay=3)],
        )
        with pytest.raises(AllAttemptsFailedError) as caught:
            await ask(gateway)
        assert len(caught.value.causes) == 2

    async def test_no_more_are_asked_at_once_than_may_be(self, ask: Ask) -> None:
        """One besides the first, unless the route says more."""
        gateway = gateway_of(
            policy={"hedge": {"after": 2}},
            llamaserver=[Answer(text="a", delay=10)],
            openai=[Answer(text="late", delay=60)],
            anthropic=[],
        )
        assert (await ask(gateway)).text == "a"

    async def test_an_empty_answer_does_not_win(self, ask: Ask) -> None:
        """As long as another one may still say something."""
        gateway = gateway_of(
            policy={"hedge": {"after": 1}}, llamaserver=[Answer(text="a", delay=3)], openai=[Answer(delay=1)]
        )
        assert (await ask(gateway)).text == "a"

    async def test_when_time_is_over_nobody_else_is_asked(self, ask: Ask) -> None:
        """Both have had all of it."""
        slow = Answer(text="late", delay=3600)
        gateway = gateway_of(
            policy={"hedge": {"after": 2}, "total": 60}, llamaserver=[slow], openai=[slow], anthropic=[]
        )
        with pytest.raises(AllAttemptsFailedError) as caught:
            await ask(gateway)
        assert caught.value.category == ErrorCategory.TIMEOUT
        assert len(caught.value.causes) == 2


class TestCooldowns:
    """A deployment that fails is left alone."""

    async def test_it_is_passed_over_and_tried_again(self) -> None:
        """After two failures the other one is asked alone; when the cooldown ends, one call finds out."""
        gateway = gateway_of(
            policy={},
            health={"failures": 2, "cooldown": 5},
            llamaserver=[Failure(ErrorCategory.SERVER)] * 2 + [Answer(text="well")],
            openai=[Answer(text="a")] * 3,
        )
        assert [(await gateway.complete("Why?")).text for _ in range(3)] == ["a", "a", "a"]
        assert len(gateway.asked("llamaserver")) == 2
        await anyio.sleep(6)
        assert (await gateway.complete("Why?")).text == "well"

    async def test_when_all_cool_down_the_first_to_end_is_waited_for(self) -> None:
        """If the deadline allows; else the error says when."""
        gateway = gateway_of(
            policy={},
            health={"failures": 1, "cooldown": 20},
            llamaserver=[Failure(ErrorCategory.SERVER), Answer(text="well")],
            openai=[Failure(ErrorCategory.SERVER)],
        )
        with pytest.raises(AllAttemptsFailedError):
            await gateway.complete("Why?")
        with pytest.raises(NoDeploymentError, match=r"asked again in 20\.0 s") as caught:
            await gateway.complete("Why?", timeout=10)
        assert caught.value.retry_after == pytest.approx(20)
        assert (await gateway.complete("Why?", timeout=30)).text == "well"

    async def test_the_error_says_when_the_first_of_them_is_asked_again(self, ask: Ask) -> None:
        """Whoever comes first in the route."""
        gateway = gateway_of(
            policy={"total": 10},
            llamaserver=[Failure(ErrorCategory.RATE_LIMIT, retry_after=100)],
            openai=[Failure(ErrorCategory.RATE_LIMIT, retry_after=30)],
        )
        with pytest.raises(AllAttemptsFailedError):
            await ask(gateway)
        with pytest.raises(NoDeploymentError, match="openai") as caught:
            await ask(gateway)
        assert caught.value.retry_after == pytest.approx(30)

    async def test_who_is_left_alone_is_among_the_causes_when_the_others_failed(self, ask: Ask) -> None:
        """It is not the only reason."""
        gateway = gateway_of(
            policy={"total": 10},
            llamaserver=[Failure(ErrorCategory.RATE_LIMIT, retry_after=100)],
            openai=[Answer(text="a"), Failure(ErrorCategory.SERVER)],
        )
        assert (await ask(gateway)).text == "a"
        with pytest.raises(AllAttemptsFailedError) as caught:
            await ask(gateway)
        assert [type(cause) for cause in caught.value.causes] == [LLMServerError, NoDeploymentError]

    async def test_who_is_left_alone_is_waited_for_when_all_others_failed(self, ask: Ask) -> None:
        """As long as the deadline allows: no call fails that could have been answered."""
        gateway = gateway_of(
            policy={"total": 60},
            health={"failures": 1, "cooldown": 20},
            llamaserver=[Failure(ErrorCategory.SERVER), Answer(text="well again")],
            openai=[Answer(text="a"), Failure(ErrorCategory.INVALID_REQUEST), Failure(ErrorCategory.SERVER)],
        )
        assert (await ask(gateway)).text == "a"
        with pytest.raises(LLMError) as caught:
            await ask(gateway)
        assert caught.value.category == ErrorCategory.INVALID_REQUEST
        began = anyio.current_time()
        assert (await ask(gateway)).text == "well again"
        assert anyio.current_time() - began == pytest.approx(20)

    async def test_the_only_deployment_is_asked_in_any_case(self) -> None:
        """Leaving it alone would spare nobody."""
        gateway = gateway_of(
            policy={}, health={"failures": 1}, llamaserver=[Failure(ErrorCategory.SERVER), Answer(text="a")]
        )
        with pytest.raises(LLMError):
            await gateway.complete("Why?")
        assert (await gateway.complete("Why?")).text == "a"


class TestHoldingBack:
    """The beginning of a stream, as long as somebody else can still take over."""

    async def test_what_breaks_while_it_is_held_back_falls_back(self) -> None:
        """The caller sees nothing of it."""
        gateway = gateway_of(
            policy={"stream": {"buffer_events": 4, "buffer_seconds": 60}},
            llamaserver=[Failure(ErrorCategory.CONNECTION, chunks=["one ", "two ", "three "])],
            openai=[Answer(chunks=["a", "b"])],
        )
        assert [chunk.text async for chunk in gateway.complete_stream("Why?")] == ["a", "b", ""]

    async def test_what_is_slower_than_wished_is_given_up(self) -> None:
        """Too few pieces in the time that they are held back; the last one is read, however slow."""
        policy = {"stream": {"buffer_events": 100, "buffer_seconds": 2, "least_tokens_per_second": 5}}
        gateway = gateway_of(
            policy=policy,
            llamaserver=[Answer(chunks=["x"] * 100, pause=1)],
            openai=[Answer(chunks=["a"] * 30, pause=1)],
        )
        assert "".join([chunk.text async for chunk in gateway.complete_stream("Why?")]) == "a" * 30
        assert reasons(gateway)[0] == ("llamaserver", "first", "timeout")

    async def test_what_is_fast_enough_is_read(self) -> None:
        """Once it has shown that, it may take its time."""
        policy = {"stream": {"buffer_events": 100, "buffer_seconds": 2, "least_tokens_per_second": 5}}
        gateway = gateway_of(policy=policy, llamaserver=[Answer(chunks=["x"] * 30, pause=0.1)], openai=[])
        assert "".join([chunk.text async for chunk in gateway.complete_stream("Why?")]) == "x" * 30


class TestBrokenAnswers:
    """A text that breaks after delivery."""

    async def test_it_is_continued_where_that_is_wished(self) -> None:
        """By who takes the beginning as its own; the answer is whole, says so, and both halves are paid for."""
        gateway = gateway_of(
            policy={"stream": {"continue_broken": True}},
            openai=[Failure(ErrorCategory.CONNECTION, chunks=["The ", "sky "])],
            llamaserver=[Answer(chunks=["is ", "blue."])],
        )
        gateway.scripted["llamaserver"].continues_answers = True
        stream = gateway.complete_stream("Why?")
        chunks = [chunk async for chunk in stream]
        assert [chunk.text for chunk in chunks] == ["The ", "sky ", "is ", "blue.", ""]
        assert [chunk.cumulative_tokens for chunk in chunks] == [1, 2, 3, 4, 4]
        assert stream.response.text == "The sky is blue."
        assert stream.response.metadata["continued"] == 1
        assert "continued by llamaserver" in str(stream.response.metadata["warnings"])
        assert reasons(gateway) == [("openai", "first", "connection"), ("llamaserver", "continuation", None)]
        assert gateway.asked("llamaserver")[0].messages == [Message("user", "Why?"), Message("assistant", "The sky ")]

    async def test_without_a_wish_it_fails_with_what_came(self) -> None:
        """Nothing is said twice."""
        gateway = gateway_of(
            policy={},
            openai=[Failure(ErrorCategory.CONNECTION, chunks=["The ", "sky "])],
            llamaserver=[],
        )
        with pytest.raises(LLMError) as caught:
            async for _ in gateway.complete_stream("Why?"):
                pass
        assert caught.value.partial_text == "The sky "

    async def test_who_cannot_continue_is_not_asked(self) -> None:
        """OpenAI's models would answer the half sentence."""
        gateway = gateway_of(
            policy={"stream": {"continue_broken": True}},
            llamaserver=[Failure(ErrorCategory.CONNECTION, chunks=["The ", "sky "])],
            openai=[],
        )
        with pytest.raises(LLMError):
            async for _ in gateway.complete_stream("Why?"):
                pass


async def test_the_cost_of_all_attempts_is_the_calls() -> None:
    """Hedges included."""
    usage = Usage(input_tokens=1000, output_tokens=10)
    gateway = gateway_of(
        policy={"hedge": {"after": 2}},
        openai=[Answer(text="late", delay=3600)],
        anthropic=[Answer(text="a", delay=1, usage=usage)],
    )
    gateway.scripted["anthropic"].default_model = "claude-sonnet-4-5"
    response = await gateway.complete("Why?", max_tokens=10)
    costs = [attempt.cost_usd for attempt in gateway.recorder.end.attempts]
    assert None not in costs
    assert response.cost_usd == sum((cost for cost in costs if cost is not None), Decimal(0))


class Interrupt(BaseException):
    """What is no error, as `KeyboardInterrupt`."""


def interrupted(_: InferenceRequest) -> Answer:
    raise Interrupt


@pytest.mark.parametrize("hedge", [{}, {"hedge": {"after": 2}}], ids=["alone", "hedged"])
async def test_an_interrupt_comes_out_as_itself(ask: Ask, hedge: dict[str, Any]) -> None:
    """Not in a group, and the call has its end."""
    gateway = gateway_of(policy=hedge, llamaserver=[interrupted], openai=[])
    with pytest.raises(Interrupt):
        await ask(gateway)
    assert gateway.recorder.end.outcome == "cancelled"
    assert gateway.get_stats().deployments["llamaserver"].in_flight == 0


class Interrupting(RecordingObserver):
    """Is interrupted while it is told of a beginning."""

    def call_started(self, call: CallStarted, /) -> RecordingObserver:
        raise Interrupt


async def test_an_interrupt_of_an_observer_leaves_no_place_taken(ask: Ask) -> None:
    """The next call has its place."""
    settings = Settings(llm_provider="openai", limits={"rates": [{"concurrency": 1, "max_wait": 0}]})
    provider = MockProvider([Answer(text="a")], name="openai")
    gateway = LLMGateway(settings, observers=[Interrupting()], providers={"openai": provider})
    with pytest.raises(Interrupt):
        await ask(gateway)
    assert gateway.get_stats().deployments == {}
    assert gateway._board.health("openai").in_flight == 0
    with pytest.raises(Interrupt):
        await ask(gateway)


class TestContinuing:
    """How far a text is continued."""

    async def test_what_is_repeated_is_left_out(self) -> None:
        """Some backends say the beginning again."""
        gateway = gateway_of(
            policy={"stream": {"continue_broken": True}},
            openai=[Failure(ErrorCategory.CONNECTION, chunks=["The ", "sky "])],
            llamaserver=[Answer(chunks=["The sky ", "is ", "blue."])],
        )
        gateway.scripted["llamaserver"].continues_answers = True
        assert "".join([chunk.text async for chunk in gateway.complete_stream("Why?")]) == "The sky is blue."

    async def test_when_nobody_can_go_on_the_error_has_what_was_said(self) -> None:
        """It is not lost because another one failed as well."""
        gateway = gateway_of(
            policy={"stream": {"continue_broken": True}},
            openai=[Failure(ErrorCategory.CONNECTION, chunks=["The ", "sky "])],
            llamaserver=[Failure(ErrorCategory.SERVER)],
        )
        gateway.scripted["llamaserver"].continues_answers = True
        with pytest.raises(LLMError) as caught:
            async for _ in gateway.complete_stream("Why?"):
                pass
        assert caught.value.partial_text == "The sky "

    async def test_who_broke_it_off_is_not_asked_again(self) -> None:
        """Each has one chance."""
        broken = Failure(ErrorCategory.CONNECTION, chunks=["a "])
        gateway = gateway_of(policy={"stream": {"continue_broken": True}}, openai=[broken], llamaserver=[broken])
        for provider in gateway.scripted.values():
            provider.continues_answers = True
        with pytest.raises(LLMError) as caught:
            async for _ in gateway.complete_stream("Why?"):
                pass
        assert caught.value.partial_text.startswith("a ")
        assert reasons(gateway) == [("openai", "first", "connection"), ("llamaserver", "continuation", "connection")]

    async def test_nobody_continues_when_time_is_over(self) -> None:
        """The call fails at its deadline."""
        gateway = gateway_of(
            policy={"stream": {"continue_broken": True}, "total": 5},
            openai=[Answer(chunks=["a", "b", "c"], pause=3)],
            llamaserver=[],
        )
        gateway.scripted["llamaserver"].continues_answers = True
        with pytest.raises(LLMTimeoutError):
            async for _ in gateway.complete_stream("Why?"):
                pass
        assert reasons(gateway) == [("openai", "first", "timeout")]
