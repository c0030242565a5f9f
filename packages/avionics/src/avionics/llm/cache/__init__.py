"""The response cache: answers that are given again, so that nobody pays for them twice.

    cache = ResponseCache.from_settings(settings)
    plan = cache.plan(provider=..., endpoint=..., request=..., tenant=...)
    async with await cache.begin(plan) as turn:
        if turn.answer is None:
            await turn.keep(await ask(), provider=..., model=...)

It keeps what was said in plain text, and is off unless the settings name a backend.
"""

from avionics.llm.cache.cache_plan import CacheMode, CacheOutcome, CachePlan
from avionics.llm.cache.cache_turn import CacheTurn
from avionics.llm.cache.cached_answer import CachedAnswer
from avionics.llm.cache.response_cache import ResponseCache
from avionics.llm.cache.store import CacheStore, StoreUnavailableError

__all__ = [
    "CacheMode",
    "CacheOutcome",
    "CachePlan",
    "CacheStore",
    "CacheTurn",
    "CachedAnswer",
    "ResponseCache",
    "StoreUnavailableError",
]
