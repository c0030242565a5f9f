"""Streams that are closed or forgotten, at whatever moment, and gateways that are closed."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from typing_extensions import override

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import InferenceResult
from avionics.errors import LLMError, LLMServerError
from avionics.llm import CompletionStream, LLMGateway
from avionics.llm.limits import Limiter
from avionics.llm.middleware import CallContext, Middleware
from avionics.llm.middleware.middleware import AnswerStream, AskStream
from avionics.llm.providers import MockProvider
from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallStarted
from avionics.settings import Settings
from avionics.testing import RecordingObserver, ScriptedGateway

pytestmark = pytest.mark.anyio

CALM = Answer(chunks=["a", "b", "c"], delay=1, pause=1)


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, object]:
    """Event loops on which time jumps."""
    return virtual_backend(request.param)


def gateway_of(policy: dict[str, Any] | None = None, **scripts: Any) -> ScriptedGateway:
    settings = Settings(
        agents={"default": {"route": "r"}},
        routing={"routes": {"r": {"deployments": [{"provider": name} for name in scripts], **(policy or {})}}},
    )
    return ScriptedGateway(settings=settings, clock=LoopClock(), **scripts)


async def close_later(stream: CompletionStream, seconds: float) -> None:
    await anyio.sleep(seconds)
    await stream.aclose()
    await stream.aclose()


@pytest.mark.parametrize("seconds", [0.5, 1, 1.5, 2.5])
async def test_another_task_may_close_a_stream_that_is_read(seconds: float) -> None:
    """Before its first piece or after: the reader hears of it, nobody else is asked, and it ends once."""
    gateway = gateway_of({"stream": {"continue_broken": True}}, openai=[CALM], llamaserver=[CALM])
    gateway.scripted["llamaserver"].continues_answers = True
    stream = gateway.complete_stream("Why?")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close_later, stream, seconds)
        with pytest.raises(LLMServerError, match="ended before its answer did"):
            async for _ in stream:
                pass
    assert (gateway.recorder.end.outcome, len(gateway.recorder.attempts)) == ("abandoned", 1)
    assert not gateway.asked("llamaserver")
    assert gateway.scripted["openai"].script.open_streams == 0
    assert gateway.get_stats().deployments["openai"].in_flight == 0


async def test_a_hedged_stream_that_is_closed_while_it_opens_asks_nobody_more() -> None:
    """Both lanes end, and no third one begins."""
    slow = Answer(text="late", delay=60)
    gateway = gateway_of({"hedge": {"after": 1}}, llamaserver=[slow], openai=[slow], anthropic=[])
    stream = gateway.complete_stream("Why?")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close_later, stream, 1.5)
        with pytest.raises(LLMServerError):
            await anext(stream)
    assert [each.category for each in gateway.recorder.end.attempts] == [ErrorCategory.CANCELLED] * 2
    assert all(each.in_flight == 0 for each in gateway.get_stats().deployments.values())
    assert all(provider.script.open_streams == 0 for provider in gateway.scripted.values())


class Locked:
    """An observer that keeps a lock while it is told, as exporters of telemetry do."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], object] = int
        self.ends: list[str] = []
        self._lock = threading.Lock()

    def call_started(self, _: CallStarted, /) -> CallObservation:
        return self

    def attempt_finished(self, _: AttemptFinished, /) -> None:
        """The end is enough."""

    def call_finished(self, end: CallFinished, /) -> None:
        assert self._lock.acquire(blocking=False), "told while it was told: this would be a deadlock"
        try:
            self.meanwhile()
        finally:
            self._lock.release()
        self.ends.append(end.outcome)


async def test_no_observer_is_told_by_garbage_collection(caplog: pytest.LogCaptureFixture) -> None:
    """It may run while an observer holds its own lock; the end of a forgotten stream is told soon after."""
    observer = Locked()
    gateway = LLMGateway(
        Settings(llm_provider="openai"),
        observers=[observer],
        providers={"openai": MockProvider([Answer(chunks=["a", "b"]), Answer(text="c")], name="openai")},
    )
    forgotten = [gateway.complete_stream("Why?")]
    await anext(forgotten[0])
    observer.meanwhile = forgotten.clear
    await gateway.complete("Why?")
    with anyio.fail_after(60):
        while len(observer.ends) < 2:
            await checkpoint()
    assert observer.ends == ["success", "abandoned"]
    assert not caplog.records


async def test_a_closed_gateway_has_told_of_forgotten_streams_and_settled_them() -> None:
    """What they spent is counted by limits that others share, and observers have their end."""
    settings = Settings(llm_provider="llamaserver", limits={"budgets": [{"tokens": 10_000, "per": "total"}]})
    recorder = RecordingObserver()
    limiter = Limiter.from_settings(settings)
    async with LLMGateway(
        settings,
        observers=[recorder],
        providers={"llamaserver": MockProvider([Answer(chunks=["a", "b"])])},
        limiter=limiter,
    ) as gateway:
        async for _ in gateway.complete_stream("Why?", max_tokens=100):
            break
        gc.collect()
    (state,) = limiter.state()
    assert recorder.end.outcome == "abandoned"
    assert state.reserved == 0
    assert 0 < 10_000 - int(state.left) < 100


def test_a_stream_that_outlives_its_event_loop_is_told_of(anyio_backend: tuple[str, dict[str, Any]]) -> None:
    """There is nobody else left who could do it."""
    name, options = anyio_backend
    kept: list[CompletionStream] = []

    async def begin() -> ScriptedGateway:
        gateway = ScriptedGateway(llamaserver=[Answer(chunks=["a", "b"])])
        kept.append(gateway.complete_stream("Why?"))
        await anext(kept[0])
        return gateway

    gateway = anyio.run(begin, backend=name, backend_options=options)
    kept.clear()
    gc.collect()
    assert gateway.recorder.end.outcome == "abandoned"


class SecondThought(Middleware):
    """Reads the beginning of an answer, and asks again."""

    @override
    def stream(self, call: CallContext, ask: AskStream) -> AnswerStream:
        return _Second(call, ask)


class _Second:
    def __init__(self, call: CallContext, ask: AskStream) -> None:
        self._call, self._ask = call, ask
        self._inner: AnswerStream | None = None

    async def __anext__(self) -> str | InferenceResult:
        if self._inner is None:
            first = self._ask(self._call)
            await first.__anext__()
            await first.aclose()
            self._inner = self._ask(self._call)
        return await self._inner.__anext__()

    async def aclose(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()


async def test_an_answer_that_middleware_leaves_ends_its_call() -> None:
    """It is on record as abandoned, and the next one as the answer."""
    gateway = ScriptedGateway(middleware=[SecondThought()], llamaserver=[Answer(chunks=["a", "b"])] * 2)
    async with gateway.complete_stream("Why?") as stream:
        assert "".join([chunk.text async for chunk in stream]) == "ab"
    assert [end.outcome for end in gateway.recorder.finished] == ["abandoned", "success"]
    assert gateway.scripted["llamaserver"].script.open_streams == 0
    assert gateway.get_stats().deployments["llamaserver"].in_flight == 0


async def test_a_stream_that_failed_has_let_go_of_everything() -> None:
    """Also without a context: the next call that asks the same is not kept waiting by it."""
    settings = Settings(
        llm_provider="llamaserver",
        cache={"backend": "memory", "all": True},
        limits={"rates": [{"concurrency": 1, "max_wait": 0}], "budgets": [{"tokens": 100_000, "per": "total"}]},
    )
    broken = Failure(ErrorCategory.CONNECTION, chunks=["a"])
    gateway = ScriptedGateway(settings=settings, clock=LoopClock(), llamaserver=[broken, Answer(text="b")])
    stream = gateway.complete_stream("Why?")
    with pytest.raises(LLMError):
        async for _ in stream:
            pass
    with anyio.fail_after(1):
        assert (await gateway.complete("Why?")).text == "b"
    assert all(state.reserved == 0 for state in gateway.limits())
    assert stream is not None
