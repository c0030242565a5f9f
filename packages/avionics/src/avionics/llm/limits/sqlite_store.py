"""Counters in a SQLite file, for all processes on a machine."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from avionics.llm.limits.bookkeeping import Refusal, settle, take
from avionics.llm.limits.claims import Claim, Standing
from avionics.llm.limits.last_known import LastKnown
from avionics.llm.limits.microseconds import Clock, microseconds
from avionics.llm.limits.store import LEASE, Holder, StoreUnavailableError, Ticket

__all__ = ["SQLiteStore"]

_TABLES = """
CREATE TABLE IF NOT EXISTS counters (
    key TEXT PRIMARY KEY, whole_at INTEGER NOT NULL, spent INTEGER NOT NULL, reserved INTEGER NOT NULL, ends_at INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slots (
    key TEXT, holder TEXT, ends_at INTEGER NOT NULL, PRIMARY KEY (key, holder)
) WITHOUT ROWID;
"""


class SQLiteStore:
    """Counters in a file, which is made when it is first needed. `timeout` is how long others may keep it locked.

    Each transaction takes its turn at once, so none fails half-way for another's. What was counted survives a killed
    process; the last moments before a power cut may be lost.
    """

    is_shared = True

    def __init__(self, file: Path, clock: Clock, *, timeout: float) -> None:
        self._file = file
        self._clock = clock
        self._timeout = timeout
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[object] = []
        self._known = LastKnown()

    def take(self, claims: Sequence[Claim], holder: Holder) -> Ticket | Refusal:
        """All of the claims, or none."""
        with self._transaction() as connection:
            now = microseconds(self._clock())
            refusal = take(_SQLiteLedger(connection, holder, now, self._known), claims, now)
        return refusal or Ticket(claims, holder, now)

    def settle(self, ticket: Ticket, used: Sequence[int]) -> None:
        """What was used of each claim of the ticket."""
        with self._transaction() as connection:
            now = microseconds(self._clock())
            ledger = _SQLiteLedger(connection, ticket.holder, now, self._known)
            settle(ledger, ticket.claims, used, taken_at=ticket.taken_at, now=now)

    def renew(self, holders: Sequence[Holder]) -> None:
        """These hold their slots for another lease."""
        with self._transaction() as connection:
            ends_at = microseconds(self._clock() + LEASE)
            connection.executemany(
                "UPDATE slots SET ends_at = ? WHERE key = ? AND holder = ?",
                [(ends_at, key, holder.id) for holder in holders for key in holder.keys],
            )

    def known(self, keys: Sequence[str]) -> Mapping[str, Standing]:
        """How counters stood when this process last heard of them."""
        return self._known.of(keys)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        if self._pid != os.getpid():
            # Forked: the parent's connection is not ours to use or to close, so it is only kept from being collected.
            self._inherited.append(self._connection)
            self._pid, self._lock, self._connection = os.getpid(), threading.Lock(), None
        with self._lock:
            try:
                connection = self._connection or self._open()
                self._connection = connection
                with _immediate(connection):
                    yield connection
            except (sqlite3.Error, OSError) as error:
                raise StoreUnavailableError(f"{self._file.name}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._file, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            _write_ahead(connection, self._timeout)
            connection.execute("PRAGMA synchronous = NORMAL")
            now = microseconds(self._clock())
            with _immediate(connection):
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute("DELETE FROM counters WHERE ends_at <= ?", (now,))
                connection.execute("DELETE FROM slots WHERE ends_at <= ?", (now,))
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def _immediate(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _write_ahead(connection: sqlite3.Connection, timeout: float) -> None:
    """Switch to the write-ahead log. Where others do so at the same moment, SQLite fails without waiting."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


class _SQLiteLedger:
    def __init__(self, connection: sqlite3.Connection, holder: Holder, now: int, known: LastKnown) -> None:
        self._connection = connection
        self._holder = holder
        self._now = now
        self._known = known

    def read(self, key: str) -> Standing:
        row = self._connection.execute(
            "SELECT (SELECT count(*) FROM slots WHERE key = ?1 AND ends_at > ?2), whole_at, spent, reserved "
            "FROM (SELECT 1) LEFT JOIN counters ON key = ?1",
            (key, self._now),
        ).fetchone()
        taken, whole_at, spent, reserved = row
        standing = Standing(taken=taken, whole_at=whole_at or 0, spent=spent or 0, reserved=reserved or 0)
        self._known.heard(key, standing)
        return standing

    def write(self, key: str, standing: Standing, ends_at: int | None) -> None:
        self._connection.execute(
            "REPLACE INTO counters (key, whole_at, spent, reserved, ends_at) VALUES (?, ?, ?, ?, ?)",
            (key, standing.whole_at, standing.spent, standing.reserved, ends_at),
        )
        self._known.heard(key, standing)

    def occupy(self, key: str) -> None:
        self._connection.execute("DELETE FROM slots WHERE key = ? AND ends_at <= ?", (key, self._now))
        self._connection.execute(
            "REPLACE INTO slots (key, holder, ends_at) VALUES (?, ?, ?)",
            (key, self._holder.id, self._now + microseconds(LEASE)),
        )
        self.read(key)

    def vacate(self, key: str) -> None:
        self._connection.execute("DELETE FROM slots WHERE key = ? AND holder = ?", (key, self._holder.id))
        self.read(key)
