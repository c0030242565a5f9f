"""What every store promises: memory, SQLite, PostgreSQL, Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from avionics.errors import ConfigurationError
from avionics.llm.cache import CacheStore
from avionics.llm.cache.memory_store import MemoryStore
from avionics.llm.cache.open_store import open_store
from avionics.llm.cache.sql_store import SqlStore
from avionics.settings import CacheSettings

BYTES = bytes(range(256)) * 4
NOW = 1_795_000_000.0


class TestEveryStore:
    """Bytes under keys."""

    def test_it_gives_back_what_it_was_given(self, store: CacheStore) -> None:
        """Every byte, under its own key alone."""
        store.put("a" * 64, BYTES, now=NOW, ttl=60)
        store.put("b" * 64, b"", now=NOW, ttl=None)
        assert (store.get("a" * 64), store.get("b" * 64), store.get("c" * 64)) == (BYTES, b"", None)

    def test_the_last_one_stays(self, store: CacheStore) -> None:
        """What is put under a key takes the place of what was there."""
        store.put("k", b"old", now=NOW, ttl=60)
        store.put("k", b"new", now=NOW, ttl=60)
        assert store.get("k") == b"new"

    def test_what_is_deleted_is_gone(self, store: CacheStore) -> None:
        """And deleting nothing is no error."""
        store.put("k", b"data", now=NOW, ttl=60)
        store.delete("k")
        store.delete("k")
        assert store.get("k") is None

    def test_it_may_be_used_after_closing(self, store: CacheStore) -> None:
        """A gateway that is closed may be used again."""
        store.put("k", b"data", now=NOW, ttl=60)
        store.close()
        assert store.get("k") == b"data"

    def test_threads_may_share_it(self, store: CacheStore) -> None:
        """Nobody gets what somebody else was given, and nobody fails."""
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for turn in range(20):
                    store.put(f"{number}", f"{number}:{turn}".encode(), now=NOW, ttl=60)
                    found = store.get(f"{number}")
                    assert found is not None
                    assert found.startswith(f"{number}:".encode())
            except BaseException as error:
                failures.append(error)
                raise

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    def test_two_of_them_see_the_same(self, settings: CacheSettings, store: CacheStore) -> None:
        """What one process keeps another one finds, unless it is kept in memory."""
        other = open_store(settings)
        assert other is not None
        store.put("k", b"data", now=NOW, ttl=60)
        assert other.get("k") == (None if settings.backend == "memory" else b"data")
        other.close()


class TestMemory:
    """What was not asked for longest goes first."""

    def test_no_more_than_so_many_entries(self) -> None:
        """Asking for an entry makes it the last one to go."""
        store = MemoryStore(max_entries=2, max_bytes=1000)
        store.put("a", b"1", now=NOW, ttl=None)
        store.put("b", b"2", now=NOW, ttl=None)
        store.get("a")
        store.put("c", b"3", now=NOW, ttl=None)
        assert (store.get("a"), store.get("b"), store.get("c")) == (b"1", None, b"3")

    def test_no_more_than_so_many_bytes(self) -> None:
        """Entries that were replaced or deleted no longer count; one that is too long takes nobody's place."""
        store = MemoryStore(max_entries=100, max_bytes=10)
        store.put("a", b"12345678", now=NOW, ttl=None)
        store.put("a", b"1234", now=NOW, ttl=None)
        store.put("b", b"123456", now=NOW, ttl=None)
        assert store.get("a") == b"1234"
        store.put("c", b"12345678901", now=NOW, ttl=None)
        assert (store.get("a"), store.get("c")) == (b"1234", None)
        store.delete("a")
        store.put("d", b"1234", now=NOW, ttl=None)
        assert (store.get("b"), store.get("d")) == (b"123456", b"1234")
        store.put("e", b"1", now=NOW, ttl=None)
        assert (store.get("b"), store.get("d"), store.get("e")) == (None, b"1234", b"1")


class TestSql:
    """The table keeps itself small, and is made when it is missing."""

    @pytest.fixture
    def minutes(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def make(self, tmp_path: Path, minutes: list[float]) -> Callable[[int], SqlStore]:
        url = f"sqlite:///{tmp_path}/responses.db"
        return lambda most: SqlStore(url, max_entries=most, timeout=30, clock=lambda: minutes[0] * 60)

    def test_what_has_expired_is_deleted(self, make: Callable[[int], SqlStore], minutes: list[float]) -> None:
        """A minute later, with the next entry, so that a file does not hold what nobody may be given any more."""
        store = make(100)
        store.put("short", b"1", now=NOW, ttl=30)
        store.put("long", b"1", now=NOW, ttl=3000)
        store.put("ever", b"1", now=NOW, ttl=None)
        minutes[0] = 1
        store.put("new", b"1", now=NOW + 60, ttl=30)
        assert [store.get(key) for key in ("short", "long", "ever", "new")] == [None, b"1", b"1", b"1"]
        store.close()

    def test_no_more_than_so_many_entries(self, make: Callable[[int], SqlStore], minutes: list[float]) -> None:
        """The oldest go."""
        store = make(2)
        for number in range(4):
            minutes[0] = number
            store.put(f"{number}", b"1", now=NOW + number, ttl=None)
        assert [store.get(f"{number}") for number in range(4)] == [None, None, b"1", b"1"]
        store.close()

    def test_a_dropped_file_is_made_anew(self, make: Callable[[int], SqlStore], tmp_path: Path) -> None:
        """Whoever wants to forget everything deletes it; at worst the next use of it fails."""
        store = make(100)
        store.put("k", b"1", now=NOW, ttl=None)
        store.close()
        for file in tmp_path.glob("responses.db*"):
            file.unlink()
        with pytest.raises(Exception, match="no such table"):
            store.get("k")
        assert store.get("k") is None
        store.put("k", b"2", now=NOW, ttl=None)
        assert store.get("k") == b"2"
        store.close()


@pytest.mark.parametrize(
    "cache",
    [
        {"backend": "sql", "url": "postgresql://user:pa55word@host:port/base"},
        {"backend": "redis", "url": "redis://user:pa55word@host:port/0"},
    ],
    ids=["sql", "redis"],
)
def test_a_url_that_cannot_be_read_is_refused_at_once(cache: dict[str, str]) -> None:
    """When the gateway is made, not when it is used, and without the password."""
    with pytest.raises(ConfigurationError, match=r"cache\.url") as refused:
        open_store(CacheSettings.model_validate(cache))
    assert "pa55word" not in str(refused.value)
