"""Answers in a store: whether they can be read, and how old they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from airframe.types import InferenceResult
from avionics.llm.cache.cached_answer import CachedAnswer, UnreadableEntryError, decode_answer, encode_answer
from avionics.llm.cache.guarded_store import GuardedStore

__all__ = ["KeptAnswers"]


class KeptAnswers:
    """Answers in a store: how old they are, and whether they can be read."""

    def __init__(self, store: GuardedStore, *, max_bytes: int, clock: Callable[[], float]) -> None:
        self.store = store
        self._max_bytes = max_bytes
        self._clock = clock

    def stamped(
        self,
        result: InferenceResult,
        ttl: float | None,
        *,
        provider: str,
        model: str | None,
        pieces: Sequence[str],
        cost_usd: Decimal | None,
    ) -> CachedAnswer:
        """The answer, as given now."""
        now = self._clock()
        return CachedAnswer(
            result=result,
            provider=provider,
            model=model,
            pieces=pieces,
            cost_usd=cost_usd,
            created_at=now,
            expires_at=None if ttl is None else now + ttl,
        )

    def is_fresh(self, answer: CachedAnswer, ttl: float | None) -> bool:
        """Whether it is young enough for who kept it and for who wants it."""
        return not self._expired(answer) and (ttl is None or self._clock() - answer.created_at < ttl)

    async def read(self, key: str, ttl: float | None) -> CachedAnswer | None:
        """What is kept and will do. What has expired, or cannot be read, is removed."""
        data = await self.store.get(key)
        if data is None:
            return None
        try:
            answer = decode_answer(data)
        except UnreadableEntryError:
            answer = None
        if answer is None or self._expired(answer):
            await self.store.delete(key)
            return None
        return answer if self.is_fresh(answer, ttl) else None

    async def write(self, key: str, answer: CachedAnswer, ttl: float | None) -> str | None:
        """Keep it, or say why it is not kept."""
        try:
            data = encode_answer(answer)
        except TypeError as error:
            return f"the backend's own values are no JSON: {error}"
        if len(data) > self._max_bytes:
            return f"the answer takes {len(data)} bytes, and cache.max_entry_bytes is {self._max_bytes}"
        await self.store.put(key, data, now=answer.created_at, ttl=ttl)
        return None

    def _expired(self, answer: CachedAnswer) -> bool:
        return answer.expires_at is not None and self._clock() >= answer.expires_at
