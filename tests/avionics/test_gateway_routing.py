"""Whom a call goes to: by its own words, by conditions, by balance, by health, and by places that are free."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import repeat
from typing import Any, TypeAlias

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import InferenceRequest, Message
from avionics.errors import AllAttemptsFailedError, LLMError, LLMRateLimitError, NoDeploymentError
from avionics.llm import LLMGateway, LLMResponse
from avionics.llm.providers import MockProvider
from avionics.settings import Settings
from avionics.testing import RecordingObserver, ScriptedGateway

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[LLMResponse]]


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, object]:
    """Event loops on which time jumps."""
    return virtual_backend(request.param)


def says(name: str, *, delay: float = 0.0) -> Any:
    """An endless script."""
    return repeat(Answer(text=name, delay=delay))


def gateway_of(
    deployments: Any, *, balancing: str = "ordered", routing: dict[str, Any] | None = None, **scripts: Any
) -> ScriptedGateway:
    settings = Settings(
        agents={"default": {"route": "r"}},
        providers={name: {"kind": "mock"} for name in scripts if len(name) == 1},
        routing={"routes": {"r": {"deployments": deployments, "balancing": balancing}}, **(routing or {})},
    )
    return ScriptedGateway(settings=settings, clock=LoopClock(), **scripts)


async def together(gateway: LLMGateway, calls: int) -> list[str]:
    """Answers of so many calls, of which each begins before one has ended."""
    answers: list[str] = []

    async def ask() -> None:
        answers.append((await gateway.complete("Why?")).text)

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(ask)
            await anyio.sleep(0.001)
    return answers


class TestConditions:
    """Deployments that are asked only for some calls."""

    async def test_tags_and_tenants_of_the_call_count(self) -> None:
        """Who does not fit is passed over; when nobody fits, the error says why."""
        gateway = gateway_of(
            [
                {"provider": "a", "when": {"tags": ["eu", "fast"]}},
                {"provider": "b", "when": {"tenants": ["acme"]}},
            ],
            a=says("a"),
            b=says("b"),
        )
        assert (await gateway.complete("Why?", tags=["fast", "eu"], tenant="acme")).text == "a"
        assert (await gateway.complete("Why?", tags=["eu"], tenant="acme")).text == "b"
        with pytest.raises(NoDeploymentError, match="eu") as caught:
            await gateway.complete("Why?", tenant="else")
        assert "acme" in str(caught.value)

    async def test_the_time_of_day_counts(self) -> None:
        """The first one has its hours now, or not, by the clock on the wall."""

        def window(begins: float) -> dict[str, Any]:
            start = datetime.now(UTC) + timedelta(hours=begins)
            return {"between": [f"{start:%H:%M}", f"{start + timedelta(hours=6):%H:%M}"]}

        for begins, expected in ((-3, "a"), (3, "b")):
            deployments = [{"provider": "a", "when": window(begins)}, {"provider": "b"}]
            gateway = gateway_of(deployments, a=says("a"), b=says("b"))
            assert (await gateway.complete("Why?")).text == expected


class TestOneCallsOwnChoice:
    """What a call says of whom to ask."""

    async def test_a_provider_that_the_call_names_is_asked_alone(self, ask: Ask) -> None:
        """The others of the route are not, whatever happens."""
        gateway = gateway_of(
            [{"provider": "a"}, {"provider": "b"}], a=says("a"), b=[Answer(text="b"), Failure(ErrorCategory.SERVER)]
        )
        assert (await gateway.complete("Why?", provider="b")).text == "b"
        with pytest.raises(LLMError):
            await gateway.complete("Why?", provider="b")
        assert not gateway.asked("a")
        assert (await ask(gateway)).text == "a"

    async def test_an_agents_route_and_a_named_route(self) -> None:
        """An agent that nobody knows is `default`; a call may name another route as its model."""
        settings = Settings(
            agents={"default": {"route": "r"}, "planner": {"route": "s"}},
            routing={"routes": {"r": {"deployments": [{"provider": "a"}]}, "s": {"deployments": [{"provider": "b"}]}}},
            providers={"a": {"kind": "mock"}, "b": {"kind": "mock"}},
        )
        gateway = ScriptedGateway(settings=settings, a=says("a"), b=says("b"))
        calls: list[dict[str, Any]] = [{}, {"agent_name": "planner"}, {"agent_name": "nobody"}, {"model": "s"}]
        assert [(await gateway.complete("Why?", **call)).text for call in calls] == ["a", "b", "a", "b"]


class TestBalancing:
    """Equals."""

    async def test_a_session_keeps_to_its_deployment(self, ask: Ask) -> None:
        """Sessions are spread; without one, the beginning of the prompt is what keeps together."""
        names = ("a", "b", "c", "d")
        gateway = gateway_of(
            [[{"provider": name} for name in names]],
            balancing="sticky",
            **{name: says(name) for name in names},
        )
        homes = {
            session: {(await gateway.complete("Why?", session_id=session)).text for _ in range(5)}
            for session in map(str, range(20))
        }
        assert all(len(home) == 1 for home in homes.values())
        assert len({name for home in homes.values() for name in home}) > 1
        assert len({(await ask(gateway, "A long story")).text for _ in range(5)}) == 1

    async def test_the_least_busy_is_asked(self) -> None:
        """Calls at once are spread evenly."""
        gateway = gateway_of(
            [[{"provider": "a"}, {"provider": "b"}]],
            balancing="least_busy",
            a=says("a", delay=1),
            b=says("b", delay=1),
        )
        answers = await together(gateway, 10)
        assert sorted(answers) == ["a"] * 5 + ["b"] * 5

    async def test_the_fastest_is_asked_once_that_is_known(self) -> None:
        """By what attempts took."""
        gateway = gateway_of(
            [[{"provider": "a"}, {"provider": "b"}]],
            balancing="lowest_latency",
            a=says("a", delay=5),
            b=says("b", delay=0.1),
        )
        first = {(await gateway.complete("Why?")).text for _ in range(2)}
        assert first == {"a", "b"}  # who was never asked comes before who was
        assert {(await gateway.complete("Why?")).text for _ in range(10)} == {"b"}

    async def test_round_robin_takes_turns(self) -> None:
        """One after the other."""
        gateway = gateway_of(
            [[{"provider": "a"}, {"provider": "b"}]],
            balancing="round_robin",
            a=says("a"),
            b=says("b"),
        )
        answers = [(await gateway.complete("Why?")).text for _ in range(6)]
        assert answers in (["a", "b"] * 3, ["b", "a"] * 3)


class TestLongPrompts:
    """A prompt that does not fit."""

    async def test_it_goes_to_a_larger_window_only(self, ask: Ask) -> None:
        """Without a chain of its own: who has a smaller one is passed over."""
        models = ("gpt-4o", "gpt-3.5-turbo", "gpt-4.1")
        gateway = gateway_of(
            [{"provider": "openai", "model": model} for model in models],
            openai=[Failure(ErrorCategory.CONTEXT_LENGTH), Answer(text="a")],
        )
        await ask(gateway)
        assert [request.model for request in gateway.asked("openai")] == ["gpt-4o", "gpt-4.1"]


class TestTrials:
    """A deployment that was left alone is tried by one call at a time."""

    async def test_the_others_go_elsewhere_meanwhile(self) -> None:
        """Of calls at once one finds out whether it is well again."""
        gateway = gateway_of(
            [{"provider": "a"}, {"provider": "b"}],
            routing={"health": {"failures": 1, "cooldown": 5}},
            a=[Failure(ErrorCategory.SERVER), Answer(text="a", delay=1), *[Answer(text="a")] * 3],
            b=says("b", delay=0.5),
        )
        assert (await gateway.complete("Why?")).text == "b"
        assert gateway.get_stats().deployments["a"].breaker == "open"
        await anyio.sleep(6)
        assert gateway.get_stats().deployments["a"].breaker == "half_open"
        assert sorted(await together(gateway, 3)) == ["a", "b", "b"]
        assert sorted(await together(gateway, 2)) == ["a", "a"]
        assert gateway.get_stats().deployments["a"].breaker == "closed"

    async def test_of_those_who_wait_for_its_time_one_tries_it(self) -> None:
        """The others wait for what that one finds, and leave no place taken meanwhile."""
        gateway = gateway_of(
            [{"provider": "a"}, {"provider": "b"}],
            routing={
                "health": {"failures": 1, "cooldown": 5},
                "concurrency": {"adaptive": True, "start": 2, "most": 2},
            },
            a=[Failure(ErrorCategory.SERVER), *[Answer(text="a", delay=3)] * 4],
            b=[Failure(ErrorCategory.AUTH)],
        )
        with pytest.raises(AllAttemptsFailedError):
            await gateway.complete("Why?")
        began = anyio.current_time()
        assert await together(gateway, 2) == ["a", "a"]
        assert anyio.current_time() - began == pytest.approx(11, abs=0.3)
        began = anyio.current_time()
        assert await together(gateway, 2) == ["a", "a"]
        assert anyio.current_time() - began == pytest.approx(3, abs=0.1)

    async def test_a_trial_that_is_cancelled_is_left_to_the_next_call(self) -> None:
        """It has found out nothing."""
        gateway = gateway_of(
            [{"provider": "a"}, {"provider": "b"}],
            routing={"health": {"failures": 1, "cooldown": 5}},
            a=[Failure(ErrorCategory.SERVER), Answer(text="late", delay=60), Answer(text="a")],
            b=says("b"),
        )
        await gateway.complete("Why?")
        await anyio.sleep(6)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.complete, "Why?")
            await anyio.sleep(1)
            tasks.cancel_scope.cancel()
        assert (await gateway.complete("Why?")).text == "a"


class TestPlaces:
    """How many exchanges a deployment is given at once."""

    async def test_there_are_fewer_after_it_was_overloaded(self) -> None:
        """And as soon as there is nobody else to ask, calls wait for a place."""
        most = 0

        def count(_: InferenceRequest) -> Answer:
            nonlocal most
            most = max(most, gateway.scripted["a"].script.open_streams + 1)
            return Answer(text="a", delay=1)

        gateway = gateway_of(
            [{"provider": "a"}],
            routing={"concurrency": {"adaptive": True, "start": 4}, "health": {"failures": 100}},
            a=[*[Failure(ErrorCategory.OVERLOADED, delay=1)] * 4, *[count] * 8],
        )

        async def fail() -> None:
            with pytest.raises(LLMError):
                await gateway.complete("Why?")

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(fail)
        assert await together(gateway, 8) == ["a"] * 8
        assert most < 4

    async def test_a_place_that_is_taken_sends_a_call_to_the_next(self, ask: Ask) -> None:
        """Nobody waits as long as there is somebody else."""
        gateway = gateway_of(
            [{"provider": "a"}, {"provider": "b"}],
            routing={"concurrency": {"adaptive": True, "start": 1, "most": 1}},
            a=says("a", delay=5),
            b=says("b"),
        )
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.complete, "Why?")
            await anyio.sleep(0.5)
            assert (await ask(gateway)).text == "b"
            assert anyio.current_time() - began < 1

    @pytest.mark.parametrize("busy", [["a"], ["a", "b"]])
    async def test_when_all_others_failed_or_are_busy_too_a_place_is_waited_for(self, busy: list[str]) -> None:
        """No call fails that could have been answered a little later."""
        gateway = gateway_of(
            [{"provider": "a"}, {"provider": "b"}],
            routing={"concurrency": {"adaptive": True, "start": 1, "most": 1, "queue_timeout": 60}},
            a=says("a", delay=5),
            b=[*([Answer(text="b", delay=8)] if "b" in busy else []), Failure(ErrorCategory.SERVER)],
        )
        async with anyio.create_task_group() as tasks:
            for name in busy:
                tasks.start_soon(partial(gateway.complete, "Why?", provider=name))
            await anyio.sleep(0.5)
            began = anyio.current_time()
            assert (await gateway.complete("Why?")).text == "a"
            assert anyio.current_time() - began == pytest.approx(9.5)

    async def test_a_higher_priority_is_let_in_first(self) -> None:
        """Whoever came first."""
        order: list[str] = []

        def answer(request: InferenceRequest) -> Answer:
            order.append(request.messages[-1].text)
            return Answer(text="a", delay=1)

        gateway = gateway_of(
            [{"provider": "a"}],
            routing={"concurrency": {"adaptive": True, "start": 1, "most": 1, "queue_timeout": 60}},
            a=repeat(answer),
        )
        async with anyio.create_task_group() as tasks:
            for name, priority in (("now", 0), ("low", -1), ("usual", 0), ("high", 5)):
                tasks.start_soon(partial(gateway.complete, name, priority=priority))
                await anyio.sleep(0.01)
        assert order == ["now", "high", "usual", "low"]


class TestBackups:
    """The same provider elsewhere."""

    @pytest.mark.parametrize("own_quota", [False, True])
    async def test_after_a_rate_limit_only_one_with_its_own_quota_is_asked(self, *, own_quota: bool, ask: Ask) -> None:
        """The others share what is used up, and what the refusal says of it."""
        settings = Settings(
            llm_provider="mine",
            providers={
                "mine": {
                    "kind": "mock",
                    "backups": [{"base_url": "http://backup.invalid", "own_quota": own_quota}],
                }
            },
        )
        script: list[Step] = [Failure(ErrorCategory.RATE_LIMIT, retry_after=1), Answer(text="a")]
        provider = MockProvider(script, name="mine")
        provider.backups = (provider.endpoint,)
        recorder = RecordingObserver()
        gateway = LLMGateway(settings, observers=[recorder], providers={"mine": provider})
        if own_quota:
            assert (await ask(gateway)).text == "a"
            assert [each.reason for each in recorder.end.attempts] == ["first", "failover"]
        else:
            with pytest.raises(LLMRateLimitError):
                await ask(gateway)

    async def test_never_after_a_wrong_key(self, ask: Ask) -> None:
        """It is the same key."""
        provider = MockProvider([Failure(ErrorCategory.AUTH)], name="mine")
        provider.backups = (provider.endpoint,)
        settings = Settings(
            llm_provider="mine", providers={"mine": {"kind": "mock", "backups": [{"base_url": "http://b.invalid"}]}}
        )
        gateway = LLMGateway(settings, observers=[], providers={"mine": provider})
        with pytest.raises(LLMError) as caught:
            await ask(gateway)
        assert not isinstance(caught.value, AllAttemptsFailedError)


async def test_a_conversation_without_a_session_stays_where_it_began() -> None:
    """Its prompts begin alike, also when the first answer has been added to them."""
    names = ("llamaserver", "openai", "anthropic", "ollama")
    settings = Settings(
        agents={"default": {"route": "r"}},
        routing={"routes": {"r": {"deployments": [[{"provider": name} for name in names]], "balancing": "sticky"}}},
    )
    scripts: dict[str, Any] = {name: [Answer(text="a")] * 40 for name in names}
    gateway = ScriptedGateway(settings=settings, **scripts)
    for number in range(20):
        question = Message("user", f"Question {number}?")
        first = await gateway.complete(messages=[question])
        second = await gateway.complete("And then?", messages=[question, Message("assistant", first.text)])
        assert second.provider == first.provider
