"""The store that the settings ask for."""

from __future__ import annotations

import time
from importlib.util import find_spec

import platformdirs

from avionics.errors import MissingPackageError
from avionics.llm.limits.memory_store import MemoryStore
from avionics.llm.limits.microseconds import Clock
from avionics.llm.limits.store import Store
from avionics.settings.calls import LimitsSettings
from avionics.settings.limits import sqlite_file

__all__ = ["open_store"]

_FILE_NAME = "limits.db"


def open_store(settings: LimitsSettings, clock: Clock | None) -> Store:
    """The store, which connects when it is first used. Without a clock, each goes by its own: Redis by the server's.

    Raises `ConfigurationError` for a URL that cannot be read, `MissingPackageError` when Redis's client is missing.
    """
    place = settings.store.get_secret_value()
    if place == "memory":
        return MemoryStore(clock or time.time)
    if place.startswith("sqlite"):
        from avionics.llm.limits.sqlite_store import SQLiteStore  # here, because most do without

        file = sqlite_file(settings.store) or platformdirs.user_data_path("avionics") / _FILE_NAME
        return SQLiteStore(file, clock or time.time, timeout=settings.store_timeout)
    if find_spec("redis") is None:
        raise MissingPackageError("limits.store: Redis needs redis-py: pip install 'jeeves-avionics[redis]'")
    from avionics.llm.limits.redis_store import RedisStore

    return RedisStore(place, prefix=settings.store_prefix, timeout=settings.store_timeout, clock=clock)
