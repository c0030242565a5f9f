"""Places at deployments: never more than allowed, in order, and nothing is lost when somebody goes away."""

from __future__ import annotations

import random
import threading
from functools import partial

import anyio
import pytest
from anyio.abc import TaskGroup
from hypothesis import given, settings
from hypothesis import strategies as st

from avionics.errors import RateLimitExceededError
from avionics.llm.routing import ConcurrencyGate, Places, Slot
from avionics.llm.routing.concurrency_limit import ConcurrencyLimit
from avionics.llm.routing.wakeup import Wakeup
from avionics.settings.routing import ConcurrencySettings

pytestmark = pytest.mark.anyio

LONG = 60.0
"""Seconds: a safety net, which nothing here waits for."""


def gate(start: int = 2, most: int = 100, queue: int = 100, queue_timeout: float = LONG) -> ConcurrencyGate:
    return ConcurrencyGate(
        ConcurrencySettings(adaptive=True, start=start, most=most, queue=queue, queue_timeout=queue_timeout)
    )


class Line:
    """Calls that wait at a gate, in the order in which they got a place."""

    def __init__(self, at: ConcurrencyGate, tasks: TaskGroup) -> None:
        self.at, self.tasks = at, tasks
        self.served: list[str] = []
        self.slots: list[Slot] = []
        self.scopes: dict[str, anyio.CancelScope] = {}

    async def join(self, name: str, priority: int = 0) -> None:
        self.tasks.start_soon(self._wait, name, priority)
        await anyio.wait_all_tasks_blocked()

    async def _wait(self, name: str, priority: int) -> None:
        with anyio.CancelScope() as self.scopes[name]:
            slot = await self.at.take("a", priority=priority)
            self.served.append(name)
            self.slots.append(slot)


async def test_as_many_as_allowed_get_a_place_and_the_next_waits() -> None:
    """Until one is given back; each deployment has places of its own."""
    at = gate(start=2)
    async with anyio.create_task_group() as tasks:
        line = Line(at, tasks)
        for name in "123":
            await line.join(name)
        assert (line.served, at.places("a")) == (["1", "2"], Places(allowed=2, taken=2, waiting=1))
        (await at.take("b")).release()
        line.slots[0].release()
        line.slots[0].release()  # a second time does nothing
        await anyio.wait_all_tasks_blocked()
        assert line.served == ["1", "2", "3"]
        assert at.places("a") == Places(allowed=2, taken=2, waiting=0)


async def test_a_higher_priority_is_first_then_who_came_first() -> None:
    """Also when it came last."""
    at = gate(start=1)
    first = await at.take("a")
    async with anyio.create_task_group() as tasks:
        line = Line(at, tasks)
        for name, priority in (("low", -1), ("one", 0), ("two", 0), ("high", 5)):
            await line.join(name, priority)
        first.release(refused=True)
        for place in range(4):
            await anyio.wait_all_tasks_blocked()
            line.slots[place].release(refused=True)
        assert line.served == ["high", "one", "two", "low"]


async def test_a_full_line_is_an_error_at_once() -> None:
    """It says how many there are, and leaves nothing behind."""
    at = gate(start=1, queue=1)
    slot = await at.take("a")
    async with anyio.create_task_group() as tasks:
        line = Line(at, tasks)
        await line.join("waits")
        with pytest.raises(RateLimitExceededError) as caught:
            await at.take("a", priority=9)
        assert str(caught.value) == (
            "a has no place free: 1 are taken, 1 allowed, and 1 calls wait already, as many as may (concurrency.queue)"
        )
        assert at.places("a") == Places(allowed=1, taken=1, waiting=1)
        slot.release()
        await anyio.wait_all_tasks_blocked()
        assert line.served == ["waits"]


async def test_nobody_waits_longer_than_allowed() -> None:
    """By the settings, or by the call's own deadline; both leave nothing behind."""
    at = gate(start=1)
    hasty = gate(start=1, queue_timeout=0.001)
    slots = [await at.take("a"), await hasty.take("a")]
    with pytest.raises(RateLimitExceededError, match="none became free within the time"):
        await at.take("a", deadline=anyio.current_time())
    with pytest.raises(RateLimitExceededError, match="none became free within the time"):
        await hasty.take("a")
    for each in (at, hasty):
        assert each.places("a") == Places(allowed=1, taken=1, waiting=0)
    for slot in slots:
        slot.release()
    assert (await hasty.take("a")) is not None


async def test_who_is_cancelled_leaves_no_trace() -> None:
    """While waiting, and also when the place was just given: the next one gets it."""
    at = gate(start=1)
    first = await at.take("a")
    async with anyio.create_task_group() as tasks:
        line = Line(at, tasks)
        for name in ("gone", "late", "next"):
            await line.join(name)
        line.scopes["gone"].cancel()
        await anyio.wait_all_tasks_blocked()
        assert at.places("a") == Places(allowed=1, taken=1, waiting=2)
        line.scopes["late"].cancel()
        first.release(refused=True)  # may be given to "late", which is on its way out
        await anyio.wait_all_tasks_blocked()
        assert line.served == ["next"]
        line.slots[0].release(refused=True)
    assert at.places("a") == Places(allowed=1, taken=0, waiting=0)


async def test_a_block_gives_its_place_back_however_it_ends() -> None:
    """By an error too; what was refused inside counts."""
    at = gate(start=8)

    async def fail() -> None:
        async with at.slot("a") as slot:
            assert at.places("a") == Places(allowed=8, taken=1, waiting=0)
            slot.release(refused=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert at.places("a") == Places(allowed=4, taken=0, waiting=0)


async def test_without_learning_there_is_always_a_place() -> None:
    """The default: the endpoint's own limit of connections is the only one."""
    at = ConcurrencyGate()
    slots = [await at.take("a") for _ in range(1000)]
    assert at.places("a") is None
    for slot in slots:
        slot.release()


@pytest.mark.parametrize("seed", range(5))
async def test_the_bound_is_never_exceeded(seed: int) -> None:
    """200 calls that come, wait, are refused and are cancelled at random: never more places than allowed, none lost."""
    chance, at = random.Random(seed), gate(start=4, most=6)
    under_way = 0

    async def call(steps: int, cancelled_after: int | None, *, refused: bool) -> None:
        nonlocal under_way
        with anyio.CancelScope() as scope:
            if cancelled_after is not None:
                tasks.start_soon(cancel_after, scope, cancelled_after)
            async with at.slot("a", priority=steps % 3) as slot:
                places = at.places("a")
                under_way += 1
                assert places
                assert under_way <= 6
                try:
                    for _ in range(steps):
                        await anyio.lowlevel.checkpoint()
                finally:
                    under_way -= 1
                slot.release(refused=refused)

    async def cancel_after(scope: anyio.CancelScope, steps: int) -> None:
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            cancelled_after = chance.randrange(60) if chance.random() < 0.4 else None
            tasks.start_soon(partial(call, chance.randrange(9), cancelled_after, refused=chance.random() < 0.1))
            if chance.random() < 0.5:
                await anyio.lowlevel.checkpoint()
    left = at.places("a")
    assert left
    assert (left.taken, left.waiting) == (0, 0)


def test_event_loops_in_threads_share_the_places() -> None:
    """Two of asyncio and two of trio: never more at once than allowed, and everybody has a turn."""
    at, lock, counts = gate(start=3, most=3, queue=1000), threading.Lock(), {"now": 0, "most": 0, "done": 0}

    async def call() -> None:
        async with at.slot("a"):
            with lock:
                counts["now"] += 1
                counts["most"] = max(counts["most"], counts["now"])
            await anyio.lowlevel.checkpoint()
            with lock:
                counts["now"] -= 1
                counts["done"] += 1

    async def calls() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(call)

    threads = [
        threading.Thread(target=partial(anyio.run, calls, backend=backend)) for backend in ("asyncio", "trio") * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts["done"] == 200
    assert counts["most"] <= 3
    assert at.places("a") == Places(allowed=3, taken=0, waiting=0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_nobody_is_woken_in_an_event_loop_that_is_over(backend: str) -> None:
    """Whoever wakes is told, so that a place is not given to the dead."""
    left: list[Wakeup] = []

    async def make() -> None:
        left.append(Wakeup())

    anyio.run(make, backend=backend)
    assert left[0].wake() is False


class TestLimit:
    """How the number of places is learned."""

    def test_it_grows_by_one_for_a_round_of_answers_while_all_places_are_taken(self) -> None:
        """Not otherwise: an answer with places to spare proves nothing."""
        limit = ConcurrencyLimit(value=4, most=100)
        for _ in range(4):
            limit = limit.after_answer(saturated=True)
        assert limit.allowed == 4
        assert limit.after_answer(saturated=True).allowed == 5
        assert limit.after_answer(saturated=False) == limit

    def test_it_is_halved_once_for_a_burst(self) -> None:
        """What began before it was halved says nothing new."""
        limit = ConcurrencyLimit(value=16, most=100)
        burst = [limit.decreases] * 8
        for decreases in burst:
            limit = limit.after_refusal(decreases=decreases)
        assert limit.allowed == 8
        assert limit.after_refusal(decreases=limit.decreases).allowed == 4

    def test_it_grows_from_one_as_slowly_as_from_anywhere(self) -> None:
        """However often it was halved: one answer makes it two, and not a hundred."""
        limit = ConcurrencyLimit(value=2, most=100)
        for _ in range(9):
            limit = limit.after_refusal(decreases=limit.decreases)
        assert (limit.allowed, limit.after_answer(saturated=True).allowed) == (1, 2)

    @settings(deadline=None)
    @given(st.integers(1, 50), st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=300))
    def test_it_stays_between_one_and_the_most(self, start: int, events: list[tuple[bool, bool, bool]]) -> None:
        """Whatever happens."""
        limit = ConcurrencyLimit(value=start, most=50)
        for refused, saturated, stale in events:
            limit = (
                limit.after_refusal(decreases=limit.decreases - stale)
                if refused
                else limit.after_answer(saturated=saturated)
            )
            assert 1 <= limit.allowed <= 50

    async def test_the_gate_learns_from_what_it_is_told(self) -> None:
        """Answers while all places are taken make it wider, a refusal makes it half as wide."""
        at = gate(start=2)
        for _ in range(3):
            slots = [await at.take("a"), await at.take("a")]
            for slot in slots:
                slot.release()
        assert at.places("a") == Places(allowed=3, taken=0, waiting=0)
        (await at.take("a")).release(refused=True)
        assert at.places("a") == Places(allowed=1, taken=0, waiting=0)
