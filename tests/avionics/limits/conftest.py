"""A store of each kind, and limiters over it whose time the test makes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from airframe.testing.clock import Clock
from avionics.llm.limits import Demand
from avionics.llm.limits.open_store import open_store
from avionics.llm.limits.store import Store
from avionics.settings.calls import LimitsSettings

REDIS_URL = os.environ.get("AVIONICS_TEST_REDIS_URL")  # read before foreign variables are taken away

NOON = 2_079_086_400.0  # 2035-11-19 12:00 UTC: far enough for Redis, which forgets what has ended by its own clock
PATIENCE = 30.0  # seconds; no more than a safety net

OpenStore: TypeAlias = Callable[[], Store]


def place_of(kind: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """The settings of an empty store."""
    match kind:
        case "memory":
            yield {"store": "memory"}
        case "sqlite":
            yield {"store": f"sqlite:///{folder}/some/where/limits.db"}
        case _:
            if REDIS_URL is None:
                pytest.skip("AVIONICS_TEST_REDIS_URL names no Redis server")
            redis: Any = pytest.importorskip("redis")
            prefix = f"avionics-test-{uuid.uuid4().hex[:12]}"
            yield {"store": REDIS_URL, "store_prefix": prefix}
            with redis.Redis.from_url(REDIS_URL) as client:
                for key in client.scan_iter(f"{{{prefix}}}*"):
                    client.delete(key)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The settings of an empty store; a test that takes it runs once for each kind."""
    yield from place_of(request.param, tmp_path)


@pytest.fixture(params=["sqlite", "redis"])
def shared_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The settings of an empty store that can be shared."""
    yield from place_of(request.param, tmp_path)


@pytest.fixture
def clock() -> Clock:
    """The time of the stores: it passes when a test sets `now`."""
    clock = Clock()
    clock.now = NOON
    return clock


@dataclass
class Shops:
    """Opens stores, and closes them at the end."""

    clock: Clock
    opened: list[Store]

    def open(self, place: Mapping[str, str]) -> Store:
        store = open_store(limits(**place), lambda: self.clock.now)
        self.opened.append(store)
        return store


@pytest.fixture
def shops(clock: Clock) -> Iterator[Shops]:
    """Opens stores on the test's time."""
    shops = Shops(clock, [])
    yield shops
    for store in shops.opened:
        store.close()


@pytest.fixture
def store(place: Mapping[str, str], shops: Shops) -> Store:
    """A store."""
    return shops.open(place)


@pytest.fixture
def pair(shared_place: Mapping[str, str], shops: Shops) -> tuple[Store, Store]:
    """Two clients of a store, as two processes have them."""
    return shops.open(shared_place), shops.open(shared_place)


@pytest.fixture
def demand() -> Callable[..., Demand]:
    """Makes a demand; arguments are its fields."""

    def made(**fields: Any) -> Demand:
        usual: dict[str, Any] = {"provider": "openai", "model": "m", "input_tokens": 10, "output_tokens": 20}
        usual["cost_usd"] = Decimal("0.3")
        return Demand(**(usual | fields))

    return made


@pytest.fixture
def make_limits() -> Callable[..., LimitsSettings]:
    """Makes the section `limits`, whose store has all the time that a busy machine takes."""
    return limits


def limits(**fields: Any) -> LimitsSettings:
    return LimitsSettings.model_validate({"store_timeout": PATIENCE} | fields)
