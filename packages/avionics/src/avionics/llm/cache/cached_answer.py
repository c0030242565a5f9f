"""An answer as the cache keeps it, and its form as bytes: a checksum and a JSON document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from airframe.types import InferenceResult
from avionics.llm.cache.result_json import result_from_json, result_to_json

__all__ = ["CachedAnswer", "UnreadableEntryError", "decode_answer", "encode_answer"]

_DIGEST = hashlib.sha256().digest_size


class UnreadableEntryError(ValueError):
    """Bytes that are not the whole of what was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """A whole answer, kept to be given again.

    Attributes:
        result: the answer, with all that was known of it.
        provider, model: who gave it; the model by the backend's own account.
        pieces: the pieces of text in which it was streamed; none when it came whole.
        cost_usd: what the call cost that it was given to, in USD, which is what giving it again saves; None if unknown.
        created_at: when it was given, in Unix seconds.
        expires_at: from when on it is not given again, in Unix seconds; None is never.
    """

    result: InferenceResult
    provider: str
    model: str | None
    pieces: Sequence[str] = ()
    cost_usd: Decimal | None = None
    created_at: float
    expires_at: float | None = None

    @property
    def replayed_pieces(self) -> Sequence[str]:
        """The pieces of a stream that gives the answer again: the same ones, or the text in one."""
        return self.pieces or ((self.result.text,) if self.result.text else ())

    @property
    def replayed_result(self) -> InferenceResult:
        """The answer without what was true of its exchange only: the attempts, and what was left of a rate limit."""
        return replace(self.result, attempts=(), rate_limit=None)


def encode_answer(answer: CachedAnswer) -> bytes:
    """The answer as bytes. Raises `TypeError` for values of a backend that are no JSON."""
    document = {
        "result": result_to_json(answer.result),
        "provider": answer.provider,
        "model": answer.model,
        "pieces": list(answer.pieces),
        "cost_usd": None if answer.cost_usd is None else str(answer.cost_usd),
        "created_at": answer.created_at,
        "expires_at": answer.expires_at,
    }
    # ASCII: half a surrogate pair, which a broken stream may hold, has no UTF-8.
    body = json.dumps(document, separators=(",", ":")).encode("ascii")
    return hashlib.sha256(body).digest() + body


def decode_answer(data: bytes) -> CachedAnswer:
    """The answer that was made into `data`. Raises `UnreadableEntryError` for anything else."""
    digest, body = data[:_DIGEST], data[_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise UnreadableEntryError("the checksum does not fit")
    try:
        document: dict[str, Any] = json.loads(body)
        cost = document["cost_usd"]
        return CachedAnswer(
            result=result_from_json(document["result"]),
            provider=document["provider"],
            model=document["model"],
            pieces=tuple(document["pieces"]),
            cost_usd=None if cost is None else Decimal(cost),
            created_at=document["created_at"],
            expires_at=document["expires_at"],
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableEntryError(f"{type(error).__name__}: not an answer of this version") from error
