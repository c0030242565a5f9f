"""Databases for the call log: a SQLite file, and a database of a real PostgreSQL server where there is one."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from airframe.types import InferenceRequest, Message, Usage
from avionics.llm.call_id import new_call_id
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.llm.spending import total_cost, total_usage
from avionics.settings import Settings

POSTGRES_URL = os.environ.get("AVIONICS_TEST_POSTGRES_URL")  # read before foreign variables are taken away

Configure: TypeAlias = Callable[..., Settings]
FinishedCall: TypeAlias = tuple[CallStarted, CallFinished]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database; a test that takes it runs once for each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/calls.db"
    else:
        yield from postgres_database()


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    yield from postgres_database()


@pytest.fixture
def configure(database: str, tmp_path: Path) -> Configure:
    """Gives settings for that database; arguments are settings of the call log."""

    def configured(**call_log: Any) -> Settings:
        place = {"flush_interval": 0.05, "spill_directory": tmp_path / "spill"}
        return Settings(database={"url": database}, call_log={**place, **call_log})

    return configured


def postgres_database() -> Iterator[str]:
    if POSTGRES_URL is None:
        pytest.skip("AVIONICS_TEST_POSTGRES_URL names no PostgreSQL server")
    server = make_url(POSTGRES_URL).set(drivername="postgresql+psycopg")
    name = f"avionics_test_{uuid.uuid4().hex[:12]}"
    run(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        run(server, f"DROP DATABASE {name} WITH (FORCE)")


def run(server: URL, statement: str) -> None:
    """Runs one statement outside of a transaction."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


class MakeCall(Protocol):
    def __call__(self, *attempts: AttemptFinished, **fields: Any) -> FinishedCall: ...


@pytest.fixture
def make_call() -> MakeCall:
    """Makes the records of a call with these attempts; fields of either record may be given."""

    def made(*attempts: AttemptFinished, **fields: Any) -> FinishedCall:
        begun = {field.name for field in dataclasses.fields(CallStarted)}
        attempts = attempts or (an_attempt(),)
        last = attempts[-1]
        start: dict[str, Any] = {
            "call_id": new_call_id(),
            "started_at_ns": last.started_at_ns,
            "provider": attempts[0].provider,
            "model": attempts[0].model,
            "server_address": "127.0.0.1",
            "server_port": 8080,
            "request": InferenceRequest(messages=[Message("user", "Why?")]),
            "agent_name": "planner",
            "streamed": False,
        }
        end: dict[str, Any] = {
            "ended_at_ns": last.started_at_ns + 1_000_000_000,
            "outcome": "error" if last.category else "success",
            "provider": last.provider,
            "model": last.model,
            "usage": total_usage(attempts),
            "cost_usd": total_cost(attempts),
            "category": last.category,
            "attempts": attempts,
        }
        for name, value in fields.items():
            (start if name in begun else end)[name] = value
        return CallStarted(**start), CallFinished(**end)

    return made


@pytest.fixture
def make_attempt() -> Callable[..., AttemptFinished]:
    """Makes the record of an attempt that used 1000 + 10 tokens for 416 millionths of a USD."""
    return an_attempt


def an_attempt(number: int = 1, **fields: Any) -> AttemptFinished:
    values: dict[str, Any] = {
        "number": number,
        "reason": "first" if number == 1 else "fallback",
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "server_address": "127.0.0.1",
        "server_port": 8080,
        "started_at_ns": 1_795_000_000_000_000_000,
        "duration": 0.5,
        "usage": Usage(input_tokens=1000, output_tokens=10),
        "usage_source": "reported",
        "cost_usd": Decimal("0.000416"),
        "cost_source": "catalog",
        "price_version": "a list",
    }
    return AttemptFinished(**values | fields)
