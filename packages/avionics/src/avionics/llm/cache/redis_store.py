"""Entries in Redis, which forgets by itself what has expired, and what its `maxmemory-policy` says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from airframe.redaction import redact
from avionics.errors import ConfigurationError
from avionics.llm.cache.store import StoreUnavailableError

__all__ = ["RedisStore"]

T = TypeVar("T")


class RedisStore:
    """A `CacheStore` in Redis.

    Args:
        url: as redis-py reads it: `redis://`, `rediss://` or `unix://`.
        prefix: what keys begin with.
        timeout: seconds for a connection, and for each command.

    Raises `ConfigurationError` for a URL that cannot be read.
    """

    in_process: ClassVar[bool] = False

    def __init__(self, url: str, *, prefix: str, timeout: float) -> None:
        try:
            self._redis: Redis = cast("Any", Redis).from_url(  # its options have no types
                url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(
                    NoBackoff(), 1
                ),  # a connection that the server closed meanwhile; no more, calls are waiting
            )
        except ValueError:  # its message may repeat a password
            raise ConfigurationError("cache.url: not a URL that can be read; expected redis://HOST:6379/0") from None
        self._prefix = prefix

    def get(self, key: str, /) -> bytes | None:
        """What was put under the key."""
        found: object = _translated(lambda: self._redis.get(self._prefix + key))
        return found if isinstance(found, bytes) else None

    def put(self, key: str, data: bytes, /, *, now: float, ttl: float | None) -> None:  # noqa: ARG002
        """Keep it. Redis goes by its own clock."""
        milliseconds = None if ttl is None else max(1, math.ceil(ttl * 1000))
        _translated(lambda: self._redis.set(self._prefix + key, data, px=milliseconds))

    def delete(self, key: str, /) -> None:
        """Forget it."""
        _translated(lambda: self._redis.delete(self._prefix + key))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _translated(command: Callable[[], T]) -> T:
    try:
        return command()
    except (RedisError, OSError) as error:
        words = str(error).partition("\n")[0]
        raise StoreUnavailableError(redact(f"{type(error).__name__}: {words}")) from None
