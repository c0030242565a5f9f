"""Recording at the transport seam: what goes through is noted down, and not changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError
from airframe.testing.cassette.exchange import CassetteExchange
from airframe.testing.cassette.redacting import Redactor
from airframe.testing.reply import Breakdown, Chunk, End, Reply
from airframe.transport import HttpRequest, Response, Transport

__all__ = ["RecordingResponse", "RecordingTransport"]


@dataclass(slots=True)
class _Take:
    """One exchange while it happens."""

    endpoint: EndpointSpec
    request: HttpRequest
    moment: float = field(default_factory=anyio.current_time)
    response: Response | None = None
    wait: float = 0.0
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    end: End = "left"

    def elapsed(self) -> float:
        """Seconds since something last happened."""
        now = anyio.current_time()
        seconds, self.moment = now - self.moment, now
        return seconds


class RecordingTransport:
    """A transport around another one."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._takes: list[_Take] = []

    async def send(
        self, endpoint: EndpointSpec, request: HttpRequest, *, connect_timeout: float | None, header_bytes: int
    ) -> RecordingResponse:
        """Send through the inner transport."""
        take = _Take(endpoint, request)
        self._takes.append(take)
        try:
            take.response = response = await self._inner.send(
                endpoint, request, connect_timeout=connect_timeout, header_bytes=header_bytes
            )
        except AirframeError as error:
            take.end = Breakdown.of(error, take.elapsed()) or "left"
            raise
        take.wait = take.elapsed()
        return RecordingResponse(take, response)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    def exchanges(self, redactor: Redactor) -> Sequence[CassetteExchange]:
        """What happened, in the order of the requests, without secrets. Raises `CassetteError` when in doubt.

        A request that was given up before it was answered is not part of it.
        """
        exchanges: list[CassetteExchange] = []
        secrets = redactor.secrets((take.endpoint, take.request) for take in self._takes)
        for take in self._takes:
            request = redactor.request(take.request, secrets)
            if take.response is not None:
                reply = Reply(
                    status=take.response.status,
                    headers=take.response.headers,
                    chunks=tuple(take.chunks),
                    end=take.end,
                    wait=take.wait,
                )
                exchanges.append(redactor.exchange(request, reply, secrets))
            elif isinstance(take.end, Breakdown):
                exchanges.append(redactor.exchange(request, take.end, secrets))
        return exchanges


class RecordingResponse:
    """The head of an answer, and its body piece by piece."""

    def __init__(self, take: _Take, inner: Response) -> None:
        self.status = inner.status
        self.headers = inner.headers
        self._take = take
        self._inner = inner

    async def read(self, limit: int) -> bytes:
        """The next piece, noted down."""
        take = self._take
        try:
            data = await self._inner.read(limit)
        except AirframeError as error:
            take.end = Breakdown.of(error, take.elapsed()) or "left"
            raise
        if data:
            take.chunks.append(Chunk(data, take.elapsed()))
        else:
            take.end = "complete"
        return data

    def abandon(self) -> None:
        """Disconnect."""
        self._inner.abandon()

    async def aclose(self) -> None:
        """Disconnect, unless the body was read to its end."""
        await self._inner.aclose()
