"""Writing calls into the database. What is written twice is there once.

Several rows go into one statement: a driver that is given rows one by one takes and gives back the interpreter's lock
for each of them, and waits for it as often when the process is busy. PostgreSQL gets them as one document, which takes
its driver an eighth of the time that single values take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Connection, Engine, Integer, SmallInteger, Table
from sqlalchemy.types import TypeEngine

from avionics.calls.columns import Row
from avionics.calls.database import open_database, writing
from avionics.calls.rows import LogRows
from avionics.calls.tables import attempt, call, content, feedback

__all__ = ["CallStore"]

_AT_ONCE = 20  # rows; older versions of SQLite take no more than 999 values
_LARGEST: Mapping[type[TypeEngine[Any]], int] = MappingProxyType(
    {SmallInteger: 2**15 - 1, Integer: 2**31 - 1, BigInteger: 2**63 - 1}
)
_NUL = {0: "\N{REPLACEMENT CHARACTER}"}
_CONTROL_CODES = dict.fromkeys((*range(32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")


class CallStore:
    """The database as the writer sees it: opened when it is first needed, and anew after `close`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None

    def open(self) -> Engine:
        """The database. Raises as `avionics.calls.database.open_database`."""
        if self._engine is None:
            self._engine = open_database(self._url)
        return self._engine

    def write(self, calls: Sequence[LogRows]) -> None:
        """All of the calls, or none. Those that are there already are left as they are.

        Raises as `open` does; whatever else it raises is the fault of a call's own values.
        """
        said = [row for one in calls for row in one.contents]
        with writing(self.open()) as connection:
            _insert(
                connection, content, sorted(said, key=itemgetter("id"))
            )  # in one order, or two writers may deadlock
            _insert(connection, call, [one.call for one in calls if one.call])
            _insert(connection, attempt, [row for one in calls for row in one.attempts])
            _insert(connection, feedback, [row for one in calls for row in one.feedback])

    def close(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    fitted = [_fitted(table, row) for row in rows]
    if connection.dialect.name == "postgresql":
        documents = [dict(zip(table.columns.keys(), values, strict=True)) for values in fitted]
        connection.exec_driver_sql(_postgresql_insertion(table), (json.dumps(documents),))
    else:
        for first in range(0, len(fitted), _AT_ONCE):
            some = fitted[first : first + _AT_ONCE]
            connection.exec_driver_sql(_sqlite_insertion(table, len(some)), tuple(chain.from_iterable(some)))


# Names of tables and columns are our own, values go beside the statement.


@cache
def _sqlite_insertion(table: Table, rows: int) -> str:
    row = f"({', '.join('?' * len(table.columns))})"
    values = ", ".join([row] * rows)
    return f"INSERT INTO {table.name} ({_names(table)}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608


@cache
def _postgresql_insertion(table: Table) -> str:
    values = f"SELECT {_names(table)} FROM json_populate_recordset(NULL::{table.name}, %s::json)"  # noqa: S608
    return f"INSERT INTO {table.name} ({_names(table)}) {values} ON CONFLICT DO NOTHING"


def _names(table: Table) -> str:
    return ", ".join(table.columns.keys())


def _fitted(table: Table, row: Row) -> Sequence[str | float | None]:
    """The values of a row, with nothing that a column cannot hold: a log has no opinion about what it is told."""
    values: list[str | float | None] = []
    for name, length, largest in _columns(table):
        value = row.get(name)  # what an older version spilled does not know every column
        if isinstance(value, str):
            if not value.isprintable():
                # PostgreSQL takes no NUL, neither database half of a character, and a terminal obeys what is in names.
                replaced = value.translate(_NUL if length is None else _CONTROL_CODES)
                value = replaced.encode("utf-8", "replace").decode()
            value = value[:length]
        elif isinstance(value, int) and not -largest <= value <= largest:
            value = None
        values.append(value)
    return values


@cache
def _columns(table: Table) -> Sequence[tuple[str, int | None, int]]:
    """Name, longest text and largest number of each column."""
    return [
        (one.name, getattr(one.type, "length", None), _LARGEST.get(type(one.type), _LARGEST[BigInteger]))
        for one in table.columns
    ]
