"""Of several calls that ask the same at once one asks, whatever becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import ClassVar, TypeAlias

import anyio
import pytest
from anyio import to_thread
from anyio.lowlevel import checkpoint

from airframe.testing.clock import Clock
from airframe.types import FinishReason, InferenceResult
from avionics.llm.cache import CachePlan, CacheTurn, ResponseCache
from avionics.llm.cache.memory_store import MemoryStore
from avionics.llm.cache.single_flight import Part, SingleFlight, _Seat
from avionics.settings import CacheSettings

pytestmark = pytest.mark.anyio

Plan: TypeAlias = Callable[[ResponseCache], Callable[..., CachePlan]]
Result: TypeAlias = Callable[..., InferenceResult]

LONG = 60.0  # seconds; no more than a safety net


class Callers:
    """Calls that ask the same. Those who have to ask hold their turn until the test says what becomes of it."""

    def __init__(self, cache: ResponseCache, plan: CachePlan) -> None:
        self.asking: list[CacheTurn] = []
        self.answered: list[str] = []
        self._cache = cache
        self._plan = plan

    async def call(self) -> None:
        turn = await self._cache.begin(self._plan)
        if turn.answer is None:
            self.asking.append(turn)
        else:
            assert turn.outcome == "shared"
            self.answered.append(turn.answer.result.text)

    async def start(self, tasks: anyio.abc.TaskGroup, number: int) -> None:
        for _ in range(number):
            tasks.start_soon(self.call)
        await anyio.wait_all_tasks_blocked()


@pytest.fixture
def callers(memory_cache: ResponseCache, plan: Plan) -> Callers:
    return Callers(memory_cache, plan(memory_cache)())


async def test_one_asks_and_all_are_answered(callers: Callers, result: Result) -> None:
    """A hundred calls at once are one call to the backend."""
    async with anyio.create_task_group() as tasks:
        await callers.start(tasks, 100)
        (leader,) = callers.asking
        await leader.keep(result(), provider="openai", model="m")
    assert (len(callers.asking), callers.answered) == (1, ["Because."] * 99)


async def test_when_it_fails_the_next_one_asks(callers: Callers, result: Result) -> None:
    """One after the other, until one has an answer."""
    async with anyio.create_task_group() as tasks:
        await callers.start(tasks, 4)
        for failed in range(2):
            callers.asking[failed].leave()
            await anyio.wait_all_tasks_blocked()
            assert len(callers.asking) == failed + 2
        await callers.asking[2].keep(result(), provider="openai", model="m")
    assert (len(callers.asking), callers.answered) == (3, ["Because."])


async def test_a_turn_that_was_forgotten_is_left(callers: Callers, result: Result) -> None:
    """A stream that nobody reads to its end, and nobody closes, holds up nobody."""
    async with anyio.create_task_group() as tasks:
        await callers.start(tasks, 2)
        callers.asking.clear()
        await anyio.wait_all_tasks_blocked()
        (second,) = callers.asking
        second.leave()


async def test_leaving_twice_is_leaving_once(callers: Callers) -> None:
    """It does not end the turn of the one that took over."""
    async with anyio.create_task_group() as tasks:
        await callers.start(tasks, 3)
        first = callers.asking[0]
        first.leave()
        first.leave()
        await anyio.wait_all_tasks_blocked()
        assert len(callers.asking) == 2
        callers.asking[1].leave()
        await anyio.wait_all_tasks_blocked()
        callers.asking[2].leave()


async def test_an_answer_that_is_not_kept_sends_everyone_on(callers: Callers, result: Result) -> None:
    """All at once: nobody waits for the next one, who would get no better answer."""
    async with anyio.create_task_group() as tasks:
        await callers.start(tasks, 5)
        await callers.asking[0].keep(result(finish_reason=FinishReason.LENGTH), provider="openai", model="m")
    assert (len(callers.asking), callers.answered) == (5, [])


async def test_an_answer_that_is_too_long_is_shared_all_the_same(plan: Plan, result: Result) -> None:
    """Those who wait for it do not care whether it fits into the store."""
    cache = ResponseCache(MemoryStore(max_entries=1, max_bytes=99_999), CacheSettings(max_entry_bytes=10, wait=LONG))
    callers = Callers(cache, plan(cache)())
    async with anyio.create_task_group() as tasks:
        await callers.start(tasks, 3)
        assert await callers.asking[0].keep(result(), provider="openai", model="m") is not None
    assert callers.answered == ["Because."] * 2


async def test_what_another_provider_answered_is_shared_and_not_kept(
    callers: Callers, memory_cache: ResponseCache, plan: Plan, result: Result
) -> None:
    """Those who wait would get no other one; who asks later may find the first provider in good health."""
    async with anyio.create_task_group() as tasks:
        await callers.start(tasks, 2)
        assert await callers.asking[0].keep(result(), provider="azure", model="m") == "azure stood in for openai"
    assert callers.answered == ["Because."]
    assert (await memory_cache.begin(plan(memory_cache)())).answer is None


async def test_who_stops_waiting_harms_nobody(callers: Callers, result: Result) -> None:
    """Neither the one who asks nor the others who wait."""
    async with anyio.create_task_group() as tasks:
        await callers.start(tasks, 1)
        async with anyio.create_task_group() as cancelled:
            await callers.start(cancelled, 3)
            cancelled.cancel_scope.cancel()
        await callers.start(tasks, 2)
        assert len(callers.asking) == 1
        await callers.asking[0].keep(result(), provider="openai", model="m")
    assert callers.answered == ["Because."] * 2


async def test_who_is_cancelled_while_taking_over_passes_it_on(callers: Callers, result: Result) -> None:
    """The turn is never lost between two calls."""
    async with anyio.create_task_group() as tasks:
        await callers.start(tasks, 1)
        async with anyio.create_task_group() as cancelled:
            await callers.start(cancelled, 1)
            await callers.start(tasks, 1)
            callers.asking[0].leave()  # it is the second one's turn now, who does not know it yet
            cancelled.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert len(callers.asking) >= 2
        await callers.asking[-1].keep(result(), provider="openai", model="m")


async def test_who_has_waited_long_enough_asks_for_itself(plan: Plan, result: Result) -> None:
    """A stream that is read slowly holds up nobody for longer than the settings say, and is kept nevertheless."""
    cache = ResponseCache(MemoryStore(max_entries=9, max_bytes=99_999), CacheSettings(wait=0.01))
    planned = plan(cache)()
    leader = await cache.begin(planned)
    other = await cache.begin(planned)
    assert (other.answer, other.outcome) == (None, "miss")
    assert await other.keep(result("quick"), provider="openai", model="m") is None
    assert await leader.keep(result("slow"), provider="openai", model="m") is None
    hit = await cache.begin(planned)
    assert hit.answer is not None
    assert hit.answer.result.text == "slow"


async def test_nobody_waits_when_the_settings_say_so(plan: Plan, result: Result) -> None:
    """With 0 seconds every call asks for itself."""
    cache = ResponseCache(MemoryStore(max_entries=9, max_bytes=99_999), CacheSettings(wait=0))
    turns = [await cache.begin(plan(cache)()) for _ in range(3)]
    assert [turn.outcome for turn in turns] == ["miss"] * 3


class SlowStore(MemoryStore):
    """Finds nothing until the test lets it."""

    in_process: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__(max_entries=9, max_bytes=99_999)
        self.may_find = threading.Event()
        self.may_find.set()

    def get(self, key: str, /) -> bytes | None:
        self.may_find.wait()
        return super().get(key)


async def test_who_wants_a_younger_answer_asks_for_itself(plan: Plan, result: Result, clock: Clock) -> None:
    """What another call finds in the cache at the same time may be too old for this one."""
    store = SlowStore()
    cache = ResponseCache(store, CacheSettings(timeout=LONG, wait=LONG), clock=lambda: clock.now)
    planned = plan(cache)
    async with await cache.begin(planned()) as turn:
        await turn.keep(result(), provider="openai", model="m")
    clock.now += 100
    store.may_find.clear()
    outcomes: list[str] = []

    async def call(ttl: float | None) -> None:
        outcomes.append((await cache.begin(planned(ttl=ttl))).outcome)

    async with anyio.create_task_group() as tasks:
        for ttl in (None, 50, 200):
            tasks.start_soon(call, ttl)
            await checkpoint()
            await checkpoint()
        store.may_find.set()
    assert sorted(outcomes) == ["hit", "miss", "shared"]


async def test_threads_with_event_loops_of_their_own(memory_cache: ResponseCache, plan: Plan, result: Result) -> None:
    """A call in one thread waits for one in another."""
    planned = plan(memory_cache)()
    leader = await memory_cache.begin(planned)
    waiting = threading.Barrier(3)

    answers: list[str | None] = []

    async def call() -> None:
        turn = await memory_cache.begin(planned)
        answers.append(turn.answer.result.text if turn.answer else None)

    async def call_and_tell() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            await to_thread.run_sync(waiting.wait)

    threads = [
        threading.Thread(target=partial(anyio.run, call_and_tell, backend=backend)) for backend in ("asyncio", "trio")
    ]
    for thread in threads:
        thread.start()
    await to_thread.run_sync(waiting.wait)
    await leader.keep(result(), provider="openai", model="m")
    for thread in threads:
        await to_thread.run_sync(thread.join)
    assert answers == ["Because."] * 2


async def test_an_event_loop_that_has_ended_is_passed_over() -> None:
    """Its calls cannot take over any more; the next one does."""
    flights = SingleFlight[str]()
    assert (await flights.join("k", patience=LONG)).leads

    async def sit() -> None:
        flights._lead_or_sit("k", _Seat(), waits=True)

    await to_thread.run_sync(anyio.run, sit)  # somebody waits in a loop that is over
    parts: list[Part[str]] = []

    async def wait() -> None:
        parts.append(await flights.join("k", patience=LONG))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        flights.hand_over("k")
    assert parts == [Part(leads=True)]
    flights.share("k", "value")
    assert (await flights.join("k", patience=LONG)).leads
