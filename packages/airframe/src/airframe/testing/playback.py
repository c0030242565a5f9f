"""Replies played at the transport seam: an adapter over HTTP answers from them as if a server had sent them.

transport = PlaybackTransport(lambda endpoint, request: Reply.of(b'{"choices": [...]}'))
adapter = OpenAIChatAdapter(transport=transport)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import anyio
import anyio.lowlevel

from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError, LimitExceededError, Phase
from airframe.testing.clock import Clock, Timer
from airframe.testing.reply import Breakdown, Chunk, Reply
from airframe.transport import HttpRequest

__all__ = ["Answerer", "PlaybackResponse", "PlaybackTransport"]

Answerer: TypeAlias = Callable[[EndpointSpec, HttpRequest], Reply | Breakdown]
"""What is answered to a request."""


class PlaybackTransport:
    """A transport without a network, for any adapter over HTTP.

    Args:
        answer: is asked at each request.
        clock: on which the waits of the replies pass; by default they take no time.
    """

    def __init__(self, answer: Answerer, *, clock: Timer | None = None) -> None:
        self._answer = answer
        self._clock: Timer = clock or Clock(jumps=True)

    async def send(
        self,
        endpoint: EndpointSpec,
        request: HttpRequest,
        *,
        connect_timeout: float | None,  # noqa: ARG002 - the seam's; nothing is connected here
        header_bytes: int,  # noqa: ARG002 - the same
    ) -> PlaybackResponse:
        """Wait for the head of the answer. Raises `AirframeError` where the connection fails instead."""
        reply = self._answer(endpoint, request)
        await self._clock.sleep(reply.wait)
        if isinstance(reply, Breakdown):
            raise reply.to_error()
        return PlaybackResponse(reply, self._clock)

    async def aclose(self) -> None:
        """Nothing is held open."""
        await anyio.lowlevel.checkpoint()


class PlaybackResponse:
    """The head of a reply, and its body piece by piece."""

    def __init__(self, reply: Reply, clock: Timer) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._clock = clock
        self._chunks: Iterator[Chunk] = iter(reply.chunks)
        self._end = reply.end
        self._received = 0

    async def read(self, limit: int) -> bytes:
        """The next piece; empty at the end. Raises `AirframeError` as a real connection would."""
        for chunk in self._chunks:
            await self._clock.sleep(chunk.wait)
            self._received += len(chunk.data)
            if self._received > limit:
                raise LimitExceededError(
                    f"the answer is larger than Limits.body_bytes ({limit})", phase=Phase.CONTENT, limit="body_bytes"
                )
            if chunk.data:
                return chunk.data
        end = self._end
        if isinstance(end, Breakdown):
            await self._clock.sleep(end.wait)
            raise end.to_error()
        if end == "silent":
            await anyio.sleep_forever()
        if end == "left":
            raise AirframeError("the recording ends here: when it was made, the reader left", phase=Phase.CONTENT)
        await anyio.lowlevel.checkpoint()
        return b""

    def abandon(self) -> None:
        """Hear no more."""
        self._chunks, self._end = iter(()), "complete"

    async def aclose(self) -> None:
        """The same."""
        self.abandon()
        await anyio.lowlevel.checkpoint()
