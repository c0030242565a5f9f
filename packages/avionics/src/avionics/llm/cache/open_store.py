"""The store that the settings ask for."""

from __future__ import annotations

from importlib.util import find_spec

import platformdirs

from avionics.errors import MissingPackageError
from avionics.llm.cache.memory_store import MemoryStore
from avionics.llm.cache.store import CacheStore
from avionics.settings import CacheSettings

__all__ = ["open_store"]

_FILE_NAME = "responses.db"


def open_store(settings: CacheSettings) -> CacheStore | None:
    """The store, which connects when it is first used; None when there shall be none.

    Raises `ConfigurationError` for a URL that cannot be read, and when a package is missing.
    """
    url = None if settings.url is None else settings.url.get_secret_value()
    match settings.backend:
        case None:
            return None
        case "memory":
            return MemoryStore(max_entries=settings.max_entries, max_bytes=settings.max_bytes)
        case "sql":
            from avionics.llm.cache.sql_store import SqlStore  # here, because SQLAlchemy comes with it

            return SqlStore(_database_url(url), max_entries=settings.max_entries, timeout=settings.timeout)
        case "redis":
            if find_spec("redis") is None:
                raise MissingPackageError("cache.backend: redis needs redis-py: pip install 'jeeves-avionics[redis]'")
            from avionics.llm.cache.redis_store import RedisStore

            return RedisStore(url or "", prefix=settings.prefix, timeout=settings.timeout)


def _database_url(url: str | None) -> str:
    if url is None:
        return f"sqlite:///{platformdirs.user_cache_path('avionics') / _FILE_NAME}"
    if url.startswith("sqlite:"):
        return url
    if find_spec("psycopg") is None:
        raise MissingPackageError("cache.url: PostgreSQL needs psycopg: pip install 'jeeves-avionics[postgres]'")
    return f"postgresql+psycopg://{url.partition('://')[2]}"
