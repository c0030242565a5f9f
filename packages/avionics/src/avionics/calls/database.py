"""Opening the database: SQLite or PostgreSQL, brought to the present schema before anybody uses it.

SQLite runs with a write-ahead log: readers and one writer do not wait for each other, and what was committed survives a
killed process. PostgreSQL answers within a time limit or counts as down: nobody waits for it without end.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from airframe.redaction import redact
from avionics.errors import AvionicsError, ConfigurationError

__all__ = ["SCHEMA_VERSION", "VERSION_TABLE", "DatabaseUnavailableError", "open_database", "reading", "writing"]

SCHEMA_VERSION = "0002"
"""The newest migration in `avionics.calls._migrations`."""

VERSION_TABLE = "avionics_schema_version"
"""Where Alembic keeps the version of a database."""

_PATIENCE = 5  # seconds until a database that does not answer counts as down
_MIGRATION_LOCK = 0x6176_696F  # any number that PostgreSQL's other users do not take
_alembic = threading.Lock()  # it keeps what it works on in globals, and two databases may be opened at once


class DatabaseUnavailableError(AvionicsError):
    """The database cannot be used now. The message says why, without a password and without values of rows."""


def open_database(url: str) -> Engine:
    """The database, with its tables as this version of avionics needs them; several processes may open it at once.

    Raises `ConfigurationError` for a URL that cannot be read and for a database of a newer avionics,
    `DatabaseUnavailableError` when it cannot be reached or written.
    """
    engine = _engine(url)
    try:
        with reading(engine) as connection:
            version = _version(connection)
        if version != SCHEMA_VERSION:
            _migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """A transaction that reads: what others write meanwhile is not seen. Raises `DatabaseUnavailableError`."""
    with _translated(), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """A transaction that writes. In SQLite it takes its turn at once, and so never fails half-way for another's.

    Raises `DatabaseUnavailableError`; SQLAlchemy's other errors say that the database refuses the values.
    """
    with _translated(), engine.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
        yield connection


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (DataError, IntegrityError):
        raise
    except (DBAPIError, OSError) as error:
        raise DatabaseUnavailableError(_reason(error)) from error


def _reason(error: DBAPIError | OSError) -> str:
    """The driver's own words, in one line; SQLAlchemy's would repeat the statement and its values."""
    if not isinstance(error, DBAPIError):
        return str(error)
    kind = type(error.orig).__name__ if error.orig else type(error).__name__
    words = str(error.orig).strip().partition("\n")[0] if isinstance(error, OperationalError | ProgrammingError) else ""
    return redact(f"{kind}: {words}" if words else kind)


def _engine(url: str) -> Engine:
    try:
        place = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number; their messages may repeat a password
        raise ConfigurationError(
            "database.url: not a URL that can be read; expected sqlite:///FILE or "
            "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        ) from None
    return _sqlite_engine(place) if place.get_backend_name() == "sqlite" else _postgresql_engine(place)


def _sqlite_engine(url: URL) -> Engine:
    with _translated():
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args=_unless_stated(url, timeout=_PATIENCE))
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by us, not guessed by the driver
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. Where others do so at the same moment, SQLite fails without waiting."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")


def _postgresql_engine(url: URL) -> Engine:
    limits = _unless_stated(
        url,
        connect_timeout=_PATIENCE,
        tcp_user_timeout=_PATIENCE * 1000,
        options=f"-c statement_timeout={_PATIENCE}s",
    )
    return create_engine(url, connect_args=limits, pool_pre_ping=True)


def _unless_stated(url: URL, **options: object) -> dict[str, object]:
    """Those options of the driver that the URL does not state."""
    return {name: value for name, value in options.items() if name not in url.query}


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return version


def _migrate(engine: Engine) -> None:
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        version = _version(connection)  # another process may have been quicker
        if version is not None and version > SCHEMA_VERSION:
            raise ConfigurationError(
                f"database.url: the database has schema version {version}, this avionics knows {SCHEMA_VERSION}; "
                "install a newer jeeves-avionics"
            )
        if version != SCHEMA_VERSION:
            from alembic import command  # 0.3 s, once in the life of a database
            from alembic.config import Config

            config = Config()
            config.set_main_option("script_location", "avionics.calls:_migrations")
            config.attributes["connection"] = connection
            with _alembic:
                command.upgrade(config, "head")
