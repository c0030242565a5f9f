"""Entries in a table of their own, in SQLite or PostgreSQL.

The table is no part of the call log's schema and has no migrations: what is in it may be dropped at any time, and it is
made when it is missing. By default it is in a file of its own: answers are long, their writer would keep the one of the
call log waiting, and they can be deleted without losing the record of what was spent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ClassVar, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from avionics.calls.database import DatabaseUnavailableError, reading, writing
from avionics.llm.cache.process_lock import ProcessLock
from avionics.llm.cache.sql_engine import cache_engine
from avionics.llm.cache.store import StoreUnavailableError

__all__ = ["SqlStore"]

T = TypeVar("T")

_BETWEEN_PRUNINGS = 60.0  # seconds
_CREATION_LOCK = 0x6176_6973  # any number that PostgreSQL's other users do not take
_NANOSECONDS = 1_000_000_000

_entries = Table(
    "response_cache",
    MetaData(),
    Column("key", String(64), primary_key=True),
    Column("entry", LargeBinary, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("expires_at_ns", BigInteger),
)
_INDEXES = (
    Index("ix_response_cache_created_at_ns", _entries.c.created_at_ns),
    Index("ix_response_cache_expires_at_ns", _entries.c.expires_at_ns),
)


class SqlStore:
    """A `CacheStore` in a database, which is opened when it is first needed.

    Args:
        url: as SQLAlchemy writes it.
        max_entries: about as many entries are kept; the oldest go first, once a minute.
        timeout: seconds after which a database that does not answer counts as down.
        clock: tells the minutes, in seconds.

    Raises `ConfigurationError` for a URL that cannot be read.
    """

    in_process: ClassVar[bool] = False

    def __init__(
        self, url: str, *, max_entries: int, timeout: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = cache_engine(url, timeout=timeout)
        self._has_table = False
        self._opening = ProcessLock(lambda: self._engine.dispose(close=False))  # connections cannot be shared
        self._max_entries = max_entries
        self._clock = clock
        self._pruned_at = -math.inf

    def get(self, key: str, /) -> bytes | None:
        """What was put under the key."""
        query = select(_entries.c.entry).where(_entries.c.key == key)
        found: object = self._do(reading, lambda connection: connection.scalar(query))
        return found if isinstance(found, bytes) else None

    def put(self, key: str, data: bytes, /, *, now: float, ttl: float | None) -> None:
        """Keep it; once a minute, delete what is too old or too much."""
        now_ns = round(now * _NANOSECONDS)
        row: dict[str, object] = {
            "key": key,
            "entry": data,
            "created_at_ns": now_ns,
            "expires_at_ns": None if ttl is None else now_ns + round(ttl * _NANOSECONDS),
        }
        self._do(writing, lambda connection: self._put(connection, row, now_ns))

    def delete(self, key: str, /) -> None:
        """Forget it."""
        self._do(writing, lambda connection: connection.execute(delete(_entries).where(_entries.c.key == key)))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _do(
        self, transaction: Callable[[Engine], AbstractContextManager[Connection]], action: Callable[[Connection], T]
    ) -> T:
        try:
            self._create_table()
            with transaction(self._engine) as connection:
                return action(connection)
        except DatabaseUnavailableError as error:
            self._has_table = False  # perhaps somebody dropped it
            raise StoreUnavailableError(str(error)) from None
        except (SQLAlchemyError, OSError) as error:  # their words may repeat what is kept
            raise StoreUnavailableError(type(error).__name__) from None

    def _create_table(self) -> None:
        with self._opening:
            if not self._has_table:
                with writing(self._engine) as connection:
                    _create_table(connection)
                self._has_table = True

    def _put(self, connection: Connection, row: dict[str, object], now_ns: int) -> None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        insertion = dialect.insert(_entries).values(row)
        replaced = {name: insertion.excluded[name] for name in row if name != "key"}
        connection.execute(insertion.on_conflict_do_update(index_elements=["key"], set_=replaced))
        if self._clock() - self._pruned_at >= _BETWEEN_PRUNINGS:
            self._pruned_at = self._clock()
            connection.execute(delete(_entries).where(_entries.c.expires_at_ns <= now_ns))
            newest = select(_entries.c.key).order_by(_entries.c.created_at_ns.desc(), _entries.c.key)
            connection.execute(delete(_entries).where(_entries.c.key.in_(newest.offset(self._max_entries))))


def _create_table(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # where IF NOT EXISTS alone does not help two who begin at once
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CREATION_LOCK})
    connection.execute(CreateTable(_entries, if_not_exists=True))
    for index in _INDEXES:
        connection.execute(CreateIndex(index, if_not_exists=True))
