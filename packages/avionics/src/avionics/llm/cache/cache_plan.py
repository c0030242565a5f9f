"""What one call wants of the cache, decided before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["CacheMode", "CacheOutcome", "CachePlan"]

CacheMode: TypeAlias = Literal["use", "bypass", "refresh", "only"]
"""`use` takes an answer that is kept, else asks and keeps; `refresh` asks in any case, and keeps; `only` never asks;
`bypass` leaves the cache alone."""

CacheOutcome: TypeAlias = Literal["hit", "shared", "miss", "refresh", "none"]
"""What came of it: a kept answer, the one that another call has just got, none (asked and perhaps kept), a new one by
wish, or no use of the cache at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlan:
    """What a call wants.

    Attributes:
        key: where its answer is or will be; None when the cache has no part in it.
        provider: who is asked first; None when nobody can be.
        reason: why it has none, in words.
        mode: as the call said, else `use`.
        opted_in: whether the call itself said that it wants the cache.
        ttl: no older answer will do, and the new one is kept as long, in seconds; None is without limit.
    """

    key: str | None
    provider: str | None = None
    reason: str | None = None
    mode: CacheMode = "use"
    opted_in: bool = False
    ttl: float | None = None
