"""The limit on the head of an answer, to the byte; what exceeds the others is among the faults."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec, Limits
from airframe.errors import AirframeError, LimitExceededError, Phase
from airframe.testing.hostile import PATIENT, TEXT, TRAFFIC, Connection, HostileServer, Turn, chunk, head
from airframe.testing.hostile.traffic import encoded
from airframe.types import InferenceRequest

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("backend", ["openai"], indirect=True)]

CHAT = TRAFFIC["chat"]
PADDING = {"x-padding": "x" * 5000}


def answer(connection: Connection, *, trailer: bytes = b"") -> bytes:
    """A whole answer in chunks, with a head of some five thousand bytes."""
    turn = Turn(connection, CHAT, streamed=False)
    return head(chunked=True, headers=PADDING) + chunk(encoded(turn.body)) + b"0\r\n" + trailer + b"\r\n"


HEAD_BYTES = len(head(chunked=True, headers=PADDING)) - len(b"\r\n\r\n")


@pytest.mark.parametrize("limited", ["adapter", "endpoint"])
async def test_head_at_its_limit(
    limited: str,
    make_adapter: Callable[..., HttpAdapter],
    endpoint_at: Callable[..., EndpointSpec],
    question: InferenceRequest,
) -> None:
    """A head as long as the limit is read, one byte more is an error that names it; the endpoint's limit wins."""

    async def ask(most: int) -> str:
        own, other = Limits(header_bytes=most), Limits(header_bytes=1)
        in_adapter, in_endpoint = (own, None) if limited == "adapter" else (other, own)
        async with make_adapter(timeout=PATIENT, max_retries=2, limits=in_adapter) as adapter:
            return (await adapter.infer(endpoint_at(server.base_url, limits=in_endpoint), question)).text

    with HostileServer(lambda connection: connection.send(answer(connection))) as server:
        assert await ask(HEAD_BYTES) == TEXT
        with pytest.raises(LimitExceededError, match=r"Limits\.header_bytes") as raised:
            await ask(HEAD_BYTES - 1)
        await server.until(open_connections=0)
    assert (raised.value.limit, raised.value.phase) == ("header_bytes", Phase.HEADERS)
    assert len(raised.value.attempts) == 1


@pytest.mark.parametrize(("fields", "fits"), [(5, True), (500, False)])
async def test_trailer_at_its_limit(
    fields: int,
    fits: bool,
    make_adapter: Callable[..., HttpAdapter],
    endpoint_at: Callable[..., EndpointSpec],
    question: InferenceRequest,
) -> None:
    """Headers that follow a body are held to the same limit."""
    trailer = b"".join(b"x-trailer-%d: %b\r\n" % (number, b"x" * 100) for number in range(fields))
    with HostileServer(lambda connection: connection.send(answer(connection, trailer=trailer))) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0, limits=Limits(header_bytes=6000)) as adapter:
            try:
                text = (await adapter.infer(endpoint_at(server.base_url), question)).text
            except AirframeError as error:
                outcome: object = (type(error), getattr(error, "limit", None), error.phase)
            else:
                outcome = text
    assert outcome == (TEXT if fits else (LimitExceededError, "header_bytes", Phase.CONTENT))
