"""A call that is to be made."""

from __future__ import annotations

from dataclasses import dataclass

from avionics.llm.cache import CacheMode
from avionics.llm.call import Call
from avionics.llm.routing import Route

__all__ = ["Order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call that is to be made: its books, whom it may be given to, and how.

    `timeout` is seconds for all of it; None is no limit. `priority`, `cache` and `cache_ttl` are as in `CallOptions`.
    """

    call: Call
    route: Route
    timeout: float | None = None
    priority: int = 0
    cache: CacheMode | None = None
    cache_ttl: float | None = None
