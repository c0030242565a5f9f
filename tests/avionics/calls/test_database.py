"""Opening the database: its schema, from any state in which it is found."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from avionics.calls import CallHistory
from avionics.calls.database import SCHEMA_VERSION, VERSION_TABLE, open_database, reading, writing
from avionics.calls.location import database_url, spill_directory
from avionics.calls.tables import metadata
from avionics.errors import ConfigurationError
from avionics.settings import DatabaseSettings, Settings

Configure: TypeAlias = Callable[..., Settings]


def opened(settings: Settings) -> Engine:
    return open_database(database_url(settings.database))


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_the_migrations_make_the_tables_of_the_code(configure: Configure) -> None:
    """What Alembic builds step by step is what queries expect, to the column."""
    engine = opened(configure())
    with reading(engine) as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_code_knows_the_newest_migration() -> None:
    """A new migration without its number in the code would never run."""
    config = Config()
    config.set_main_option("script_location", "avionics.calls:_migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]


def test_a_database_of_an_older_avionics_keeps_what_is_in_it(configure: Configure) -> None:
    """What was logged and thought then is there afterwards, and may go back to the older one."""
    settings = configure()
    engine = opened(settings)
    migrate(engine, "0001")
    with writing(engine) as connection:
        for statement in OF_0001.split(";"):
            connection.execute(text(statement))
    engine.dispose()
    opened(settings).dispose()
    with CallHistory(settings) as history:
        details = history.call("a")
        assert (details.call.cost_usd, details.call.variant, details.call.cache) == (Decimal("0.000416"), None, None)
        assert [(one.number, one.deployment) for one in details.attempts] == [(1, None)]
        assert [(one.metric, one.value, one.comment) for one in details.feedback] == [("helpful", 0.5, "so")]
        history.record_feedback("a", "helpful", 1)
    engine = opened(settings)
    migrate(engine, "0001")
    with reading(engine) as connection:
        assert connection.scalars(text("SELECT score FROM feedback ORDER BY given_at_ns")).all() == [0.5, 1]
    engine.dispose()


OF_0001 = """
INSERT INTO call (id, started_at_ns, duration, route, streamed, outcome, attempts, usage_source, cost_nano_usd,
    estimated, unpriced)
VALUES ('a', 1, 0.5, '', false, 'success', 1, 'reported', 416000, 0, 0);
INSERT INTO attempt (call_id, number, reason, provider, started_at_ns, duration, usage_source, cost_nano_usd,
    estimated, unpriced, cost_source, call_started_at_ns)
VALUES ('a', 1, 'first', 'openai', 1, 0.5, 'reported', 416000, 0, 0, 'catalog', 1);
INSERT INTO feedback (id, call_id, given_at_ns, name, score, comment) VALUES ('f', 'a', 2, 'helpful', 0.5, 'so')
"""


def migrate(engine: Engine, version: str) -> None:
    """Goes back to an older version."""
    config = Config()
    config.set_main_option("script_location", "avionics.calls:_migrations")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, version)


def test_many_may_open_a_new_database_at_once(configure: Configure) -> None:
    """One of them makes the tables, the others wait for it."""
    settings = configure()
    together = threading.Barrier(6)
    failures: list[Exception] = []

    def open_it() -> None:
        together.wait()
        try:
            opened(settings).dispose()
        except Exception as error:  # noqa: BLE001  # told below, by the thread that asks
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    engine = opened(settings)
    with reading(engine) as connection:
        assert connection.scalar(text(f"SELECT count(*) FROM {VERSION_TABLE}")) == 1
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, VERSION_TABLE}
    engine.dispose()


def test_a_database_of_a_newer_avionics_is_left_alone(configure: Configure) -> None:
    """Who cannot read it says so, and what to do."""
    settings = configure()
    engine = opened(settings)
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ConfigurationError, match=r"schema version 9999.*install a newer jeeves-avionics"):
        opened(settings)


def test_one_who_fails_half_way_leaves_nothing(configure: Configure) -> None:
    """The tables are made in one transaction, with the note that they are there."""
    settings = configure()
    engine = opened(settings)
    with writing(engine) as connection:
        for table in (*reversed(metadata.sorted_tables),):
            connection.execute(text(f'DROP TABLE "{table.name}"'))
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))
        connection.execute(text("CREATE TABLE feedback (taken TEXT)"))
    engine.dispose()
    with pytest.raises(Exception, match="feedback"):
        opened(settings)
    engine = opened_without_migration(settings)
    with reading(engine) as connection:
        assert set(inspect(connection).get_table_names()) == {"feedback", VERSION_TABLE}
    engine.dispose()


def opened_without_migration(settings: Settings) -> Engine:
    from sqlalchemy import create_engine

    return create_engine(database_url(settings.database))


def test_the_database_is_a_file_of_the_user_unless_the_settings_say_otherwise() -> None:
    """Calls that wait are beside the file; those for a server are in the user's directory."""
    assert database_url(DatabaseSettings()).endswith("avionics.db")
    assert spill_directory(Settings()) == Path(f"{database_url(DatabaseSettings()).removeprefix('sqlite:///')}-spill")
    server = Settings(database={"url": "postgresql://ada:open-sesame@db.invalid/calls"})
    assert spill_directory(server).parent == spill_directory(Settings()).parent
    assert spill_directory(server) == spill_directory(Settings(database={"url": "postgresql://db.invalid:5432/calls"}))
    assert spill_directory(server) != spill_directory(Settings(database={"url": "postgresql://db.invalid/others"}))


@pytest.mark.parametrize("url", ["mysql://host/calls", "sqlite://", "calls.db"])
def test_another_kind_of_url_is_no_setting(url: str) -> None:
    """The error says which kinds there are."""
    with pytest.raises(ConfigurationError, match=r"database\.url .*sqlite:///FILE or postgresql\+psycopg://"):
        Settings(database={"url": url})
