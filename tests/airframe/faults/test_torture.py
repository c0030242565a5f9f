"""Answers that are cut at every byte, or changed at random, as they come over a socket: one true outcome each.

A sample of the cuts is made by default; `AIRFRAME_EVERY_CUT=1` makes all of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec, Limits
from airframe.errors import AirframeError, BackendError, ConnectionFailedError, ProtocolError
from airframe.testing.hostile import PATIENT, PIECES, TEXT, Connection, HostileServer, Traffic, chunk, head
from airframe.testing.hostile.promises import Heard, listen
from airframe.testing.hostile.traffic import encoded
from airframe.types import InferenceRequest, StreamEventType

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize(
        "backend", ["openai", "anthropic", "ollama", "openai_responses", "llama_server_native"], indirect=True
    ),
]

SAMPLE = None if os.environ.get("AIRFRAME_EVERY_CUT") else 40
MakeAdapter = Callable[..., HttpAdapter]
EndpointAt = Callable[..., EndpointSpec]


def whole_exchange(traffic: Traffic) -> bytes:
    """An answer as it goes over the wire, with an event in each chunk."""
    said = [traffic.frame(traffic.text(piece)) for piece in PIECES]
    events = [event for event in (traffic.start(), *said, traffic.finish(), traffic.end()) if event]
    return head(content_type=traffic.content_type, chunked=True) + b"".join(map(chunk, events)) + chunk()


@contextmanager
def saying(traffic: Traffic, said: list[bytes], *, reset: bool = False) -> Generator[HostileServer]:
    """A server that answers with the last of `said`, and then closes or resets the connection."""

    def script(connection: Connection) -> None:
        if document := traffic.preliminary(connection.request):
            body = encoded(document)
            connection.send(head(content_length=len(body)) + body)
            return
        connection.send(said[-1])
        if reset:
            connection.reset()
        else:
            connection.close()

    with HostileServer(script) as server:
        yield server


def check_one_outcome(heard: Heard) -> None:
    """An answer with its end, or one error that keeps what was heard; nothing else, and nothing made up."""
    ends = [event.type for event in heard.events].count(StreamEventType.DONE)
    if heard.error is None:
        assert ends == 1
        assert heard.result.text == heard.text
    else:
        assert ends == 0
        assert heard.error.committed == bool(heard.events)
        assert heard.error.partial is None or heard.error.partial.text == heard.text


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_cut_at_every_byte(
    reset: bool, traffic: Traffic, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest
) -> None:
    """An answer that breaks off before its proof is an error with the prefix; after it, it is the whole answer."""
    exchange = whole_exchange(traffic)
    proven = exchange.index(traffic.finish()) + len(traffic.finish().rstrip(b"\n"))
    cuts = list(range(len(exchange)))
    if SAMPLE is not None:
        cuts = sorted(random.Random(1).sample(cuts, SAMPLE))
    said: list[bytes] = []
    with saying(traffic, said, reset=reset) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            for cut in cuts:
                said.append(exchange[:cut])
                heard = await listen(adapter.stream_infer(endpoint_at(server.base_url), question))
                check_one_outcome(heard)
                assert TEXT.startswith(heard.text)
                if cut < proven:
                    assert isinstance(heard.error, (ProtocolError, ConnectionFailedError)), cut
                elif cut > proven + 2:
                    assert heard.error is None, cut


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True),
            st.integers(0, 40),
            st.sampled_from([b"", b"\n", b"\r\n", b"}", b'"', b"data: ", b"\x00\xff", b"9" * 30, b"null", b"\xe2\x80"])
            | st.binary(max_size=20),
        ),
        min_size=1,
        max_size=3,
    )
)
async def test_any_change_of_an_answer(
    changes: list[tuple[float, int, bytes]],
    traffic: Traffic,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
) -> None:
    """However an answer is changed on its way, it comes out as an answer or as one error of ours."""
    exchange = whole_exchange(traffic)
    for place, length, new in changes:
        start = int(place * len(exchange))
        exchange = exchange[:start] + new + exchange[start + length :]
    with saying(traffic, [exchange]) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0, limits=Limits(line_bytes=10_000)) as adapter:
            check_one_outcome(await listen(adapter.stream_infer(endpoint_at(server.base_url), question)))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300), streamed=st.booleans())
async def test_any_bytes_for_an_answer(
    body: bytes,
    streamed: bool,
    traffic: Traffic,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
) -> None:
    """Bytes without any meaning are one error of ours, streamed or not, behind a proper head."""
    content_type = traffic.content_type if streamed else "application/json"
    said = head(content_type=content_type, content_length=len(body)) + body
    with saying(traffic, [said]) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            endpoint = endpoint_at(server.base_url)
            if streamed:
                heard = await listen(adapter.stream_infer(endpoint, question))
                check_one_outcome(heard)
                error = heard.error
            else:
                with pytest.raises(AirframeError) as raised:
                    await adapter.infer(endpoint, question)
                error = raised.value
    assert isinstance(error, (ProtocolError, BackendError))
