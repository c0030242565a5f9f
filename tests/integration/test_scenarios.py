"""What becomes of a call when backends misbehave: one table, on virtual time and over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.hostile import Connection, HostileServer, head
from airframe.testing.mutators import cut_after
from airframe.testing.server import FakeServer
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import ToolSpec
from avionics.errors import AllAttemptsFailedError, LLMError, RateLimitExceededError
from avionics.llm import LLMGateway, LLMResponse
from avionics.settings import Settings
from avionics.testing import RecordingObserver, ScriptedGateway

pytestmark = pytest.mark.anyio

Attempts: TypeAlias = Sequence[tuple[str, str, str | None]]


CHAT = {
    "id": "1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A"}, "finish_reason": "stop"}],
}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Backends `a`, `b`, `c` in order, what they do, and what has to come of a call (the last of several).

    `waits` is how long that one takes, on virtual time. Real sockets are asked nothing that takes long.
    """

    name: str
    a: Sequence[Step] = ()
    b: Sequence[Step] = ()
    c: Sequence[Step] = ()
    policy: dict[str, Any] = field(default_factory=dict[str, Any])
    health: dict[str, float] = field(default_factory=dict[str, float])
    before: int = 0
    attempts: Attempts
    result: str | ErrorCategory
    waits: float = 0.0
    virtual_only: bool = False


def fails(category: ErrorCategory, **details: Any) -> Failure:
    return Failure(category, **details)


SCENARIOS = [
    Scenario(name="all is well", a=["A"], attempts=[("a", "first", None)], result="A"),
    *(
        Scenario(
            name=f"{category} falls back",
            a=[fails(category)],
            b=["B"],
            attempts=[("a", "first", category), ("b", "fallback", None)],
            result="B",
        )
        for category in (
            ErrorCategory.AUTH,
            ErrorCategory.BILLING,
            ErrorCategory.NOT_FOUND,
            ErrorCategory.OVERLOADED,
            ErrorCategory.RATE_LIMIT,
            ErrorCategory.SERVER,
        )
    ),
    Scenario(
        name="a wrong request does not",
        a=[fails(ErrorCategory.INVALID_REQUEST)],
        attempts=[("a", "first", "invalid_request")],
        result=ErrorCategory.INVALID_REQUEST,
    ),
    Scenario(
        name="a blocked prompt does not",
        a=[fails(ErrorCategory.CONTENT_FILTER)],
        attempts=[("a", "first", "content_filter")],
        result=ErrorCategory.CONTENT_FILTER,
    ),
    Scenario(
        name="a blocked prompt goes to the chain for it",
        a=[fails(ErrorCategory.CONTENT_FILTER)],
        c=["C"],
        policy={"content_filter": [{"provider": "c"}]},
        attempts=[("a", "first", "content_filter"), ("c", "fallback", None)],
        result="C",
    ),
    Scenario(
        name="a long prompt goes to the chain for it",
        a=[fails(ErrorCategory.CONTEXT_LENGTH)],
        c=["C"],
        policy={"context_length": [{"provider": "c"}]},
        attempts=[("a", "first", "context_length"), ("c", "fallback", None)],
        result="C",
    ),
    Scenario(
        name="an empty answer falls back",
        a=[Answer()],
        b=["B"],
        attempts=[("a", "first", "protocol"), ("b", "fallback", None)],
        result="B",
    ),
    Scenario(
        name="everybody fails",
        a=[fails(ErrorCategory.SERVER)],
        b=[fails(ErrorCategory.OVERLOADED)],
        c=[fails(ErrorCategory.RATE_LIMIT)],
        attempts=[("a", "first", "server"), ("b", "fallback", "overloaded"), ("c", "fallback", "rate_limit")],
        result=ErrorCategory.RATE_LIMIT,
    ),
    Scenario(
        name="no more are asked than may be",
        a=[fails(ErrorCategory.SERVER)],
        b=[fails(ErrorCategory.SERVER)],
        policy={"max_attempts": 2},
        attempts=[("a", "first", "server"), ("b", "fallback", "server")],
        result=ErrorCategory.SERVER,
    ),
    Scenario(
        name="who has failed often is left alone",
        a=[fails(ErrorCategory.SERVER)] * 2,
        b=["B"] * 3,
        health={"failures": 2, "cooldown": 60},
        before=2,
        attempts=[("b", "first", None)],
        result="B",
    ),
    Scenario(
        name="a bad key is left alone at once",
        a=[fails(ErrorCategory.AUTH)],
        b=["B"] * 2,
        before=1,
        attempts=[("b", "first", None)],
        result="B",
    ),
    Scenario(
        name="who asks for a pause gets it",
        a=[fails(ErrorCategory.RATE_LIMIT, retry_after=30)],
        b=["B"] * 2,
        before=1,
        attempts=[("b", "first", None)],
        result="B",
    ),
    Scenario(
        name="who is left alone is waited for when the others fail",
        a=[fails(ErrorCategory.RATE_LIMIT, retry_after=30), "A"],
        b=["B", fails(ErrorCategory.SERVER)],
        c=[fails(ErrorCategory.SERVER)],
        policy={"total": 60},
        before=1,
        attempts=[("b", "first", "server"), ("c", "fallback", "server"), ("a", "fallback", None)],
        result="A",
        waits=30,
        virtual_only=True,
    ),
    Scenario(
        name="a slow one is cut off for its fallback",
        a=[Answer(text="late", delay=3600)],
        b=["B"],
        policy={"total": 60},
        attempts=[("a", "first", "timeout"), ("b", "fallback", None)],
        result="B",
        waits=30,
        virtual_only=True,
    ),
    Scenario(
        name="a silent one is hedged",
        a=[Answer(text="late", delay=3600)],
        b=["B"],
        policy={"hedge": {"after": 0.05}},
        attempts=[("a", "first", "cancelled"), ("b", "hedge", None)],
        result="B",
        waits=0.05,
    ),
]


@pytest.fixture(params=["whole", "streamed"])
def ask(request: pytest.FixtureRequest) -> Callable[[LLMGateway], Any]:
    """The two ways to ask."""
    return _streamed if request.param == "streamed" else _whole


class TestOnVirtualTime:
    """With scripted providers; how long it takes is exact."""

    @pytest.fixture(params=VIRTUAL_BACKENDS)
    def anyio_backend(self, request: pytest.FixtureRequest) -> tuple[str, object]:
        """Event loops on which time jumps."""
        return virtual_backend(request.param)

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
    async def test_a_call_ends_as_the_table_says(self, scenario: Scenario, ask: Callable[[LLMGateway], Any]) -> None:
        """The same attempts in the same order, the same result, after the same time."""
        scripts: dict[str, Any] = {"a": scenario.a, "b": scenario.b, "c": scenario.c}
        providers = {name: {"kind": "mock"} for name in scripts}
        gateway = ScriptedGateway(settings=_settings(scenario, providers), clock=LoopClock(), **scripts)
        for _ in range(scenario.before):
            await ask(gateway)
        began = anyio.current_time()
        result = await _result_of(ask, gateway)
        assert anyio.current_time() - began == pytest.approx(scenario.waits)
        _check(scenario, result, gateway.recorder)
        gateway.assert_played()


class TestOverSockets:
    """With servers on this machine."""

    @pytest.mark.parametrize(
        "scenario", [each for each in SCENARIOS if not each.virtual_only], ids=lambda scenario: scenario.name
    )
    async def test_a_call_ends_as_the_table_says(self, scenario: Scenario, ask: Callable[[LLMGateway], Any]) -> None:
        """The same attempts in the same order, and the same result."""
        recorder = RecordingObserver()
        with ExitStack() as stack:
            scripts = {"a": scenario.a, "b": scenario.b, "c": scenario.c}
            servers = {name: stack.enter_context(FakeServer(script)) for name, script in scripts.items()}
            providers = {name: _provider(server) for name, server in servers.items()}
            async with LLMGateway(_settings(scenario, providers), observers=[recorder]) as gateway:
                for _ in range(scenario.before):
                    await ask(gateway)
                result = await _result_of(ask, gateway)
        _check(scenario, result, recorder)

    async def test_a_stream_that_breaks_falls_back_until_something_was_said(self) -> None:
        """Cut before its first word, nobody notices; cut behind it, the error has what was said."""
        early, late = (
            Answer(text="A", faults=cut_after(events=1)),
            Answer(chunks=["A", "B"], faults=cut_after(events=3)),
        )
        with FakeServer([early, late]) as first, FakeServer(["B"]) as second:
            providers = {name: _provider(server) for name, server in (("a", first), ("b", second))}
            settings = Settings(llm_provider="a", llm_fallback_providers=["b"], providers=providers)
            async with LLMGateway(settings, observers=[]) as gateway:
                assert (await _streamed(gateway)).text == "B"
                with pytest.raises(LLMError) as caught:
                    await _streamed(gateway)
        assert caught.value.partial_text.startswith("A")

    async def test_who_cannot_call_tools_is_passed_over(self, ask: Callable[..., Any]) -> None:
        """It is not asked at all."""
        tools = [ToolSpec(name="look", description="", parameters={})]
        with FakeServer([]) as first, FakeServer(["B"]) as second:
            settings = Settings(
                llm_provider="a",
                llm_fallback_providers=["b"],
                providers={"a": _provider(first, model="small"), "b": _provider(second)},
                models={"small": {"spec": {"capabilities": {"tools": False}}}},
            )
            async with LLMGateway(settings, observers=[]) as gateway:
                assert (await ask(gateway, tools=tools)).text == "B"

    async def test_limits_that_a_backend_tells_send_calls_elsewhere(self, ask: Callable[..., Any]) -> None:
        """Its last answer said that no request remains: the next call goes elsewhere, or hears of it."""

        def answer(connection: Connection) -> None:
            body = json.dumps(CHAT).encode()
            said = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "10m"}
            connection.send(head(content_length=len(body), headers=said) + body)

        with HostileServer(answer) as first, FakeServer(["B"]) as second:
            settings = Settings(
                llm_provider="a",
                llm_fallback_providers=["b"],
                providers={"a": _provider(first), "b": _provider(second)},
            )
            async with LLMGateway(settings, observers=[]) as gateway:
                assert (await _whole(gateway)).text == "A"
                assert (await ask(gateway)).text == "B"
                with pytest.raises(RateLimitExceededError, match="the provider's own limit"):
                    await gateway.complete("Why?", provider="a", timeout=60)
            assert len(first.requests) == 1


def _provider(server: FakeServer | HostileServer, *, model: str = "m") -> dict[str, Any]:
    return {"kind": "openai_compatible", "base_url": server.base_url, "model": model, "max_retries": 0}


def _settings(scenario: Scenario, providers: dict[str, Any]) -> Settings:
    policy = scenario.policy
    special = [*policy.get("content_filter", ()), *policy.get("context_length", ())]
    deployments = [{"provider": name} for name in "abc" if {"provider": name} not in special]
    return Settings(
        providers=providers,
        agents={"default": {"route": "r"}},
        routing={"routes": {"r": {"deployments": deployments, **policy}}, "health": scenario.health},
    )


async def _result_of(ask: Callable[[LLMGateway], Any], gateway: LLMGateway) -> str | ErrorCategory:
    try:
        response: LLMResponse = await ask(gateway)
    except AllAttemptsFailedError as error:
        return error.category
    except LLMError as error:
        return error.category
    return response.text


def _check(scenario: Scenario, result: str | ErrorCategory, recorder: RecordingObserver) -> None:
    attempts = [(each.provider, each.reason, each.category) for each in recorder.finished[-1].attempts]
    # Of a hedged call the one that is cancelled ends first or last.
    assert attempts == scenario.attempts or ("hedge" in scenario.policy and attempts[::-1] == scenario.attempts)
    assert result == scenario.result


async def _whole(gateway: LLMGateway, **options: Any) -> LLMResponse:
    return await gateway.complete("Why?", **options)


async def _streamed(gateway: LLMGateway, **options: Any) -> LLMResponse:
    async with gateway.complete_stream("Why?", **options) as stream:
        async for _ in stream:
            pass
        return stream.response
