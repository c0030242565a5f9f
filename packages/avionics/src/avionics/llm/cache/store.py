"""Where entries are: bytes under a key. The backends know nothing of answers."""

from __future__ import annotations

from typing import ClassVar, Protocol

from avionics.errors import AvionicsError

__all__ = ["CacheStore", "StoreUnavailableError"]


class StoreUnavailableError(AvionicsError):
    """The backend cannot be used now. The message says why, without a password and without what is kept."""


class CacheStore(Protocol):
    """Keeps bytes. Safe to use from several threads; its methods may wait for I/O, unless it is `in_process`.

    Raises `StoreUnavailableError`, within about the time limit that it was made with.
    """

    in_process: ClassVar[bool]

    def get(self, key: str, /) -> bytes | None:
        """What was put under the key; None when there is nothing. It may have expired: readers check that."""
        ...

    def put(self, key: str, data: bytes, /, *, now: float, ttl: float | None) -> None:
        """Keep it under the key, in place of what was there. `now` is Unix time, `ttl` seconds; None is for ever."""
        ...

    def delete(self, key: str, /) -> None:
        """Forget it; nothing happens when there is nothing."""
        ...

    def close(self) -> None:
        """Let go of connections. The store may be used again afterwards."""
        ...
