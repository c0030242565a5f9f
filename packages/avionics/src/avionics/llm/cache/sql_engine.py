"""The connection to a database of entries: SQLite or PostgreSQL, with limits in time."""

from __future__ import annotations

import math
import sqlite3
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from avionics.errors import ConfigurationError

__all__ = ["cache_engine"]


def cache_engine(url: str, *, timeout: float) -> Engine:
    """What speaks to the database; nothing is opened yet.

    Who waits for longer than `timeout` seconds, for a connection, a lock or an answer, gets an error. Raises
    `ConfigurationError` for a URL that cannot be read.
    """
    try:
        place = make_url(url)
    except (ArgumentError, ValueError):  # their messages may repeat a password
        raise ConfigurationError(
            "cache.url: not a URL that can be read; expected sqlite:///FILE or "
            "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        ) from None
    return _sqlite(place, timeout) if place.get_backend_name() == "sqlite" else _postgresql(place, timeout)


def _sqlite(url: URL, timeout: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": timeout}, hide_parameters=True)
    event.listen(engine, "do_connect", lambda *_: _make_directory(url))
    event.listen(engine, "connect", _prepare)
    return engine


def _make_directory(url: URL) -> None:
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)


def _prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    with suppress(sqlite3.OperationalError):  # another process is at it right now
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")  # what a power failure takes is asked for again


def _postgresql(url: URL, timeout: float) -> Engine:
    milliseconds = math.ceil(timeout * 1000)
    limits = {
        "connect_timeout": math.ceil(timeout),
        "tcp_user_timeout": milliseconds,
        "options": f"-c statement_timeout={milliseconds}",
    }
    stated = {name: value for name, value in limits.items() if name not in url.query}
    return create_engine(url, connect_args=stated, pool_pre_ping=True, pool_timeout=timeout, hide_parameters=True)
