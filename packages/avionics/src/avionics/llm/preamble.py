"""The beginning of a streamed answer, held back for as long as its deployment may still be exchanged."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio

from airframe.errors import CallTimeoutError
from avionics.llm.routing import StreamPolicy

__all__ = ["read_preamble"]


async def read_preamble(
    read: Callable[[], Awaitable[str | None]], policy: StreamPolicy, *, guarded: bool
) -> list[str | None]:
    """The first pieces of a stream; None after the last one of a stream that ended.

    As many are read as the policy holds back: a number of pieces, of bytes, or those of a number of seconds. When
    `guarded`, a stream that is slower than `least_tokens_per_second` in these seconds raises `CallTimeoutError`; the
    clock starts with the first piece, so a long prompt is not taken for a slow model.
    """
    first = await read()
    pieces, size = [first], _size(first)
    started = anyio.current_time()
    needed = _needed(policy) if guarded else 0
    with anyio.CancelScope() as scope:
        while pieces[-1] is not None:
            scope.deadline = math.inf if len(pieces) >= needed else started + policy.buffer_seconds
            if len(pieces) >= needed and _full(policy, len(pieces), size, anyio.current_time() - started):
                break
            piece = await read()
            pieces.append(piece)
            size += _size(piece)
    if scope.cancelled_caught:
        slow = CallTimeoutError(
            f"too slow: {len(pieces)} pieces in {policy.buffer_seconds:.3g} s, "
            f"fewer than {policy.least_tokens_per_second:.3g} a second"
        )
        slow.timeout = "idle"
        raise slow
    return pieces


def _needed(policy: StreamPolicy) -> int:
    """As many pieces prove that a stream is fast enough."""
    return math.ceil((policy.least_tokens_per_second or 0) * policy.buffer_seconds)


def _full(policy: StreamPolicy, pieces: int, size: int, seconds: float) -> bool:
    return pieces >= policy.buffer_events or size >= policy.buffer_bytes or seconds >= policy.buffer_seconds


def _size(piece: str | None) -> int:
    return len(piece.encode("utf-8", "replace")) if piece else 0
