"""A store of each kind, a cache over it whose time the test makes, and answers to keep."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from airframe.endpoints import EndpointSpec
from airframe.testing.clock import Clock
from airframe.types import FinishReason, InferenceRequest, InferenceResult, Message, TextPart, Usage
from avionics.llm.cache import CachePlan, CacheStore, ResponseCache
from avionics.llm.cache.open_store import open_store
from avionics.settings import CacheSettings

# Read before foreign variables are taken away.
POSTGRES_URL = os.environ.get("AVIONICS_TEST_POSTGRES_URL")
REDIS_URL = os.environ.get("AVIONICS_TEST_REDIS_URL")

PATIENCE = 30.0  # seconds; no more than a safety net

MakePlan: TypeAlias = Callable[..., CachePlan]


@pytest.fixture(params=["memory", "sqlite", "postgresql", "redis"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of an empty store; a test that takes it runs once for each kind."""
    match request.param:
        case "memory":
            yield {"backend": "memory"}
        case "sqlite":
            yield {"backend": "sql", "url": f"sqlite:///{tmp_path}/some/where/responses.db"}
        case "postgresql":
            yield from postgres_schema()
        case _:
            yield from redis_prefix()


def postgres_schema() -> Iterator[dict[str, str]]:
    if POSTGRES_URL is None:
        pytest.skip("AVIONICS_TEST_POSTGRES_URL names no PostgreSQL server")
    place = make_url(POSTGRES_URL).set(drivername="postgresql+psycopg")
    schema = f"avionics_test_{uuid.uuid4().hex[:12]}"
    engine = create_engine(place, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        url = place.update_query_dict({"options": f"-csearch_path={schema}"})
        yield {"backend": "sql", "url": url.render_as_string(hide_password=False)}
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


def redis_prefix() -> Iterator[dict[str, str]]:
    if REDIS_URL is None:
        pytest.skip("AVIONICS_TEST_REDIS_URL names no Redis server")
    redis: Any = pytest.importorskip("redis")
    prefix = f"avionics-test:{uuid.uuid4().hex[:12]}:"
    yield {"backend": "redis", "url": REDIS_URL, "prefix": prefix}
    with redis.Redis.from_url(REDIS_URL) as client:
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


@pytest.fixture
def settings(backend: dict[str, str]) -> CacheSettings:
    """The section `cache` for that store."""
    return cache_settings(**backend)


@pytest.fixture
def store(settings: CacheSettings) -> Iterator[CacheStore]:
    """The store itself."""
    opened = open_store(settings)
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    """The time by which answers grow old: it passes when a test sets `now`."""
    clock = Clock()
    clock.now = 1_795_000_000.0
    return clock


@pytest.fixture
def cache(store: CacheStore, settings: CacheSettings, clock: Clock) -> ResponseCache:
    """A cache over the store."""
    return ResponseCache(store, settings, clock=lambda: clock.now)


@pytest.fixture
def memory_cache(clock: Clock) -> ResponseCache:
    """A cache in memory."""
    settings = cache_settings(backend="memory")
    return ResponseCache(open_store(settings), settings, clock=lambda: clock.now)


@pytest.fixture
def plan() -> Callable[[ResponseCache], MakePlan]:
    """Makes a plan: arguments are fields of the request, and what `ResponseCache.plan` takes besides."""

    def of(cache: ResponseCache) -> MakePlan:
        def planned(question: str = "Why?", **given: Any) -> CachePlan:
            fields: dict[str, Any] = {"messages": [Message("user", question)], "model": "m", "temperature": 0}
            asked: dict[str, Any] = {"provider": "openai", "endpoint": EndpointSpec(base_url="http://127.0.0.1:8080")}
            for name, value in given.items():
                (asked if name in {"tenant", "mode", "ttl", "provider"} else fields)[name] = value
            return cache.plan(request=InferenceRequest(**fields), **asked)

        return planned

    return of


@pytest.fixture
def result() -> Callable[..., InferenceResult]:
    """Makes an answer: its text, and other fields."""

    def made(answer: str = "Because.", **fields: Any) -> InferenceResult:
        whole = InferenceResult(
            content=(TextPart(answer),), finish_reason=FinishReason.STOP, usage=Usage(input_tokens=3, output_tokens=2)
        )
        return replace(whole, **fields)

    return made


def cache_settings(**fields: Any) -> CacheSettings:
    """With limits in time that no busy machine reaches."""
    return CacheSettings.model_validate({"timeout": PATIENCE, "wait": PATIENCE} | fields)
