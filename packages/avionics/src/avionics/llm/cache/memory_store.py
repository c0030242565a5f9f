"""Entries in the memory of this process. What was not asked for longest goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

from avionics.llm.cache.process_lock import ProcessLock

__all__ = ["MemoryStore"]


class MemoryStore:
    """A `CacheStore` of limited size.

    Args:
        max_entries: as many entries are kept.
        max_bytes: what their bytes may be together; an entry that is longer by itself is not kept.
    """

    in_process: ClassVar[bool] = True

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = ProcessLock()

    def get(self, key: str, /) -> bytes | None:
        """What was put under the key, which now is the last one to go."""
        with self._lock:
            data = self._entries.get(key)
            if data is not None:
                self._entries.move_to_end(key)
            return data

    def put(self, key: str, data: bytes, /, *, now: float, ttl: float | None) -> None:  # noqa: ARG002
        """Keep it; others go until there is room. Readers find out themselves what has expired."""
        with self._lock:
            self._remove(key)
            if len(data) > self._max_bytes:
                return
            self._entries[key] = data
            self._bytes += len(data)
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._remove(next(iter(self._entries)))

    def delete(self, key: str, /) -> None:
        """Forget it."""
        with self._lock:
            self._remove(key)

    def close(self) -> None:
        """Nothing is open. What is kept stays, as it does in other stores."""

    def _remove(self, key: str) -> None:
        self._bytes -= len(self._entries.pop(key, b""))
