"""What a call gets of the cache, over every store: modes, tenants, age, size, and stores that fail."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, TypeAlias

import pytest

from airframe.testing.clock import Clock
from airframe.types import FinishReason, InferenceResult
from avionics.errors import CacheMissError
from avionics.llm.cache import CachePlan, CacheStore, ResponseCache, StoreUnavailableError
from avionics.llm.cache.memory_store import MemoryStore
from avionics.settings import CacheSettings, Settings

pytestmark = pytest.mark.anyio

Plan: TypeAlias = Callable[[ResponseCache], Callable[..., CachePlan]]
Result: TypeAlias = Callable[..., InferenceResult]


async def keep(cache: ResponseCache, plan: CachePlan, result: InferenceResult, **given: Any) -> str | None:
    """Asks, and keeps the answer."""
    async with await cache.begin(plan) as turn:
        assert turn.answer is None
        return await turn.keep(result, provider="openai", model="m-1", **given)


async def kept(cache: ResponseCache, plan: CachePlan) -> str | None:
    """The text that the cache gives; None when the call has to ask."""
    async with await cache.begin(plan) as turn:
        return turn.answer.result.text if turn.answer else None


class TestOverEveryStore:
    """Memory, SQLite, PostgreSQL, Redis."""

    async def test_the_second_call_gets_the_answer_of_the_first(
        self, cache: ResponseCache, plan: Plan, result: Result
    ) -> None:
        """All of it: who gave it, in which pieces, and what is saved by not asking again."""
        answer = result("Because.")
        await keep(cache, plan(cache)(), answer, pieces=["Be", "cause."], cost_usd=Decimal("0.25"))
        async with await cache.begin(plan(cache)()) as turn:
            assert turn.outcome == "hit"
            assert turn.answer is not None
            assert turn.answer.result == answer
            assert (turn.answer.provider, turn.answer.model) == ("openai", "m-1")
            assert (tuple(turn.answer.pieces), turn.answer.cost_usd) == (("Be", "cause."), Decimal("0.25"))
        await cache.aclose()

    async def test_other_questions_and_tenants_do_not(self, cache: ResponseCache, plan: Plan, result: Result) -> None:
        """What one was answered, no other one sees."""
        planned = plan(cache)
        await keep(cache, planned(tenant="a"), result())
        others = [
            planned(tenant="b"),
            planned(),
            planned("Why not?", tenant="a"),
            planned(tenant="a", provider="azure"),
        ]
        assert [await kept(cache, other) for other in others] == [None] * 4
        await cache.aclose()

    async def test_an_answer_is_given_until_it_is_too_old(
        self, cache: ResponseCache, plan: Plan, result: Result, clock: Clock
    ) -> None:
        """For the one who kept it, and for the one who wants it."""
        planned = plan(cache)
        await keep(cache, planned("short", ttl=60), result())
        await keep(cache, planned("long", ttl=3600), result())
        clock.now += 59
        assert await kept(cache, planned("short")) == "Because."
        clock.now += 1
        assert await kept(cache, planned("short")) is None
        assert await kept(cache, planned("long", ttl=60)) is None
        assert await kept(cache, planned("long", ttl=61)) == "Because."
        clock.now += 3600
        assert await kept(cache, planned("long")) is None
        await cache.aclose()

    async def test_what_cannot_be_read_is_a_miss_and_goes(
        self, cache: ResponseCache, store: CacheStore, plan: Plan, result: Result
    ) -> None:
        """A damaged entry, or one of another version, harms nobody and is replaced."""
        planned = plan(cache)()
        assert planned.key is not None
        store.put(planned.key, b"something else", now=1_795_000_000.0, ttl=None)
        assert await kept(cache, planned) is None
        assert store.get(planned.key) is None
        await keep(cache, planned, result())
        assert await kept(cache, planned) == "Because."
        await cache.aclose()


class TestModes:
    """What a call may say."""

    async def test_refresh_asks_and_replaces(self, memory_cache: ResponseCache, plan: Plan, result: Result) -> None:
        """Whatever is kept."""
        planned = plan(memory_cache)
        await keep(memory_cache, planned(), result("old"))
        assert await keep(memory_cache, planned(mode="refresh"), result("new")) is None
        assert await kept(memory_cache, planned()) == "new"

    async def test_only_never_asks(self, memory_cache: ResponseCache, plan: Plan, result: Result) -> None:
        """It raises when nothing is kept, and when nothing can be."""
        planned = plan(memory_cache)
        with pytest.raises(CacheMissError, match="nothing was sent"):
            await memory_cache.begin(planned(mode="only"))
        await keep(memory_cache, planned(), result())
        assert await kept(memory_cache, planned(mode="only")) == "Because."
        with pytest.raises(CacheMissError, match="store"):
            await memory_cache.begin(planned(mode="only", store=True))

    async def test_only_raises_when_there_is_no_cache(self, plan: Plan) -> None:
        """A call that must not ask does not, however the settings are."""
        off = ResponseCache.from_settings(Settings())
        with pytest.raises(CacheMissError, match=r"cache\.backend"):
            await off.begin(plan(off)(mode="only"))

    @pytest.mark.parametrize(
        ("given", "reason"),
        [({"mode": "bypass"}, "bypass"), ({"temperature": 1}, "temperature"), ({"extra_params": {"x": {1}}}, "JSON")],
        ids=str,
    )
    async def test_a_call_without_a_part_in_it_asks_and_keeps_nothing(
        self, memory_cache: ResponseCache, plan: Plan, result: Result, given: dict[str, Any], reason: str
    ) -> None:
        """And the plan says why."""
        planned = plan(memory_cache)(**given)
        assert planned.key is None
        assert planned.reason is not None
        assert reason in planned.reason
        assert await keep(memory_cache, planned, result()) == planned.reason
        assert await kept(memory_cache, planned) is None

    async def test_who_opts_in_gets_any_temperature(
        self, memory_cache: ResponseCache, plan: Plan, result: Result
    ) -> None:
        """By the call, or by the settings for all calls."""
        planned = plan(memory_cache)(temperature=1, mode="use")
        await keep(memory_cache, planned, result())
        assert await kept(memory_cache, planned) == "Because."
        everything = ResponseCache(MemoryStore(max_entries=9, max_bytes=99_999), CacheSettings(all=True))
        assert plan(everything)(temperature=1).key is not None

    async def test_off_is_off(self, plan: Plan, result: Result) -> None:
        """Without a backend the cache is false, and asks nothing of anybody."""
        off = ResponseCache.from_settings(Settings())
        assert not off
        assert plan(off)().key is None
        assert await keep(off, plan(off)(), result()) is not None
        await off.aclose()


class TestWhatIsNotKept:
    """The reason is given, and the next call asks again."""

    async def test_half_an_answer(self, memory_cache: ResponseCache, plan: Plan, result: Result) -> None:
        """Unless the call opted in."""
        cut = result(finish_reason=FinishReason.LENGTH)
        planned = plan(memory_cache)
        assert "length" in (await keep(memory_cache, planned(), cut) or "")
        assert await kept(memory_cache, planned()) is None
        assert await keep(memory_cache, planned(mode="use"), cut) is None
        assert await kept(memory_cache, planned()) == "Because."

    async def test_a_very_long_one(self, plan: Plan, result: Result) -> None:
        """One answer does not fill the cache."""
        cache = ResponseCache(MemoryStore(max_entries=9, max_bytes=99_999), CacheSettings(max_entry_bytes=1000))
        assert "max_entry_bytes" in (await keep(cache, plan(cache)(), result("x" * 1000)) or "")
        assert await kept(cache, plan(cache)()) is None

    async def test_one_with_values_that_are_no_json(
        self, memory_cache: ResponseCache, plan: Plan, result: Result
    ) -> None:
        """Providers of other packages may put anything into it."""
        odd = result(extra={"x": object()})
        assert "JSON" in (await keep(memory_cache, plan(memory_cache)(), odd) or "")
        assert await kept(memory_cache, plan(memory_cache)()) is None


class FailingStore:
    """Counts how often it is asked, and raises."""

    in_process: ClassVar[bool] = False

    def __init__(self, error: Exception) -> None:
        self.asked = 0
        self._error = error

    def get(self, key: str, /) -> bytes | None:
        self._fail()
        return None

    def put(self, key: str, data: bytes, /, *, now: float, ttl: float | None) -> None:
        self._fail()

    def delete(self, key: str, /) -> None:
        self._fail()

    def close(self) -> None:
        self._fail()

    def _fail(self) -> None:
        self.asked += 1
        raise self._error


class TestAStoreThatFails:
    """A failing cache is a miss, reported once; it never harms a call."""

    @pytest.mark.parametrize(
        "error", [StoreUnavailableError("no route"), OSError("no route"), KeyError("no route")], ids=repr
    )
    async def test_it_is_a_miss_reported_once(
        self, plan: Plan, result: Result, caplog: pytest.LogCaptureFixture, error: Exception
    ) -> None:
        """Reading, writing and closing; only words that cannot repeat what is kept are logged."""
        cache = ResponseCache(FailingStore(error), CacheSettings(timeout=30, rest=1e-9))
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                assert await keep(cache, plan(cache)(), result()) is None
            await cache.aclose()
        assert len(caplog.records) == 1
        assert ("no route" in caplog.text) == isinstance(error, StoreUnavailableError)

    async def test_it_is_left_alone_for_a_while(self, plan: Plan, result: Result) -> None:
        """Calls do not wait for a server that is known to be down."""
        store = FailingStore(StoreUnavailableError("no route"))
        cache = ResponseCache(store, CacheSettings(timeout=30, rest=3600))
        for _ in range(3):
            await keep(cache, plan(cache)(), result())
        assert store.asked == 1

    async def test_it_is_not_waited_for(self, plan: Plan, result: Result, caplog: pytest.LogCaptureFixture) -> None:
        """One that does not answer is down: the call goes on while the store still hangs."""
        hangs = threading.Event()

        class HangingStore(FailingStore):
            def _fail(self) -> None:
                hangs.wait()

        cache = ResponseCache(HangingStore(OSError()), CacheSettings(timeout=0.01, rest=3600))
        try:
            await keep(cache, plan(cache)(), result())
            assert "no answer within 0.01 s" in caplog.text
        finally:
            hangs.set()

    async def test_a_server_that_is_not_there(
        self, plan: Plan, result: Result, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A real client's failure to connect is one of these, and its password stays out of the log."""
        pytest.importorskip("redis")
        redis = {"backend": "redis", "url": "redis://user:pa55word@127.0.0.1:1/0", "timeout": 30}
        cache = ResponseCache.from_settings(Settings(cache=redis))
        assert await keep(cache, plan(cache)(), result()) is None
        assert len(caplog.records) == 1
        assert "pa55word" not in caplog.text
        await cache.aclose()
