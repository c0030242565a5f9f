"""Cassettes: what is recorded is what is replayed, and nothing else is answered."""

from __future__ import annotations

import os
import re
from pathlib import Path

import anyio
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from airframe import EndpointSpec, OpenAICompatibleAdapter
from airframe.endpoints import HealthState, Limits
from airframe.errors import (
    AirframeError,
    ConnectionFailedError,
    LimitExceededError,
    Phase,
    TruncatedAnswerError,
)
from airframe.testing import Cassette, Clock
from airframe.testing.cassette import CassetteError, UnmatchedRequestError
from airframe.testing.mutators import cut_after, split_every, unavailable
from airframe.testing.playback import PlaybackTransport
from airframe.testing.reply import Breakdown, Chunk, Reply
from airframe.transport import HttpRequest
from airframe.types import InferenceRequest, Message, TokenEvent

pytestmark = pytest.mark.anyio

KEY = "made-up-key-0123456789"
ENDPOINT = EndpointSpec(base_url="http://127.0.0.1:8080/v1", api_key=KEY, model="small")
FRAMES = [
    b': ping\n\ndata: {"choices":[{"index":0,"delta":{"content":"The "}}]}\n\n',
    'data: {"choices":[{"index":0,"delta":{"content":"天空"}}]}\n\nda'.encode(),
    b'ta: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\r\n\r\ndata: [DONE]\n\n',
]
STREAM = Reply(
    headers={"content-type": "text/event-stream", "x-request-id": "req-1", "set-cookie": "session=abc"},
    chunks=[Chunk(frame, 0.25) for frame in FRAMES],
    wait=1.5,
)


def ask(text: str = "Why?") -> InferenceRequest:
    return InferenceRequest(messages=[Message("user", text)])


def server(*replies: Reply | Breakdown) -> PlaybackTransport:
    """What is recorded: a server without a network."""
    left = iter(replies)
    return PlaybackTransport(lambda endpoint, request: next(left))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def edit(path: Path, old: str, new: str) -> None:
    text = text_of(path)
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


async def heard(cassette: Cassette, text: str = "Why?", endpoint: EndpointSpec = ENDPOINT) -> str:
    adapter = OpenAICompatibleAdapter(transport=cassette.transport, max_retries=0)
    stream = adapter.stream_infer(endpoint, ask(text))
    said = "".join([event.text async for event in stream if isinstance(event, TokenEvent)])
    assert stream.result.request_id == "req-1"
    return said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recordings" / "sky.cassette"


async def test_what_was_recorded_is_replayed_without_the_network(path: Path) -> None:
    """A call gives the same answer from the cassette; no key is needed for it, nor the same port."""
    async with Cassette.record(path, inner=server(STREAM)) as cassette:
        assert await heard(cassette) == "The 天空"
    anywhere = EndpointSpec(base_url="http://127.0.0.1:1/v1", model="small")
    with Cassette.replay(path) as cassette:
        assert await heard(cassette, endpoint=anywhere) == "The 天空"


async def test_a_cassette_reads_well(path: Path) -> None:
    """The file shows request and answer as text, piece by piece, without what changes at every run."""
    async with Cassette.record(path, inner=server(STREAM)) as cassette:
        await heard(cassette)
    lines = re.sub(r"after \d+\.\d{3}$", "after SOON", text_of(path), flags=re.MULTILINE).splitlines()
    assert lines == [
        "airframe cassette 1",
        "",
        "request POST http://127.0.0.1/v1/chat/completions",
        "  accept: text/event-stream, application/x-ndjson, application/json",
        "  authorization: [redacted]",
        "  content-type: application/json",
        "| {",
        '|   "messages": [',
        "|     {",
        '|       "role": "user",',
        '|       "content": "Why?"',
        "|     }",
        "|   ],",
        '|   "model": "small",',
        '|   "stream": true,',
        '|   "stream_options": {',
        '|     "include_usage": true',
        "|   }",
        "+ }",
        "reply 200 after SOON",
        "  content-type: text/event-stream",
        "  set-cookie: [redacted]",
        "  x-request-id: req-1",
        "chunk after SOON",
        "| : ping",
        "|",
        '| data: {"choices":[{"index":0,"delta":{"content":"The "}}]}',
        "|",
        "chunk after SOON",
        '| data: {"choices":[{"index":0,"delta":{"content":"天空"}}]}',
        "|",
        "+ da",
        "chunk after SOON",
        r'" ta: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n"',
        r'" \r\n"',
        "| data: [DONE]",
        "|",
        "end complete",
    ]


async def replayed(cassette: Cassette, path: str = "/chat") -> tuple[list[bytes], AirframeError | None]:
    """The pieces of an answer as the transport hands them out, and how they end."""
    request = HttpRequest(method="POST", url=f"http://127.0.0.1:8080{path}", headers={}, body=b"{}")
    pieces: list[bytes] = []
    try:
        response = await cassette.transport.send(ENDPOINT, request, connect_timeout=None, header_bytes=1000)
        while piece := await response.read(1 << 20):
            pieces.append(piece)
    except AirframeError as error:
        return pieces, error
    return pieces, None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@given(
    pieces=st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=40),
            st.text(min_size=1, max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
            st.sampled_from([b"\n", b"\r\n", b" \n", b"| ", b"end complete\n", b"\xe5\xa4", b"\xa9", b"data: {}\n\n"]),
        ),
        max_size=8,
    ),
    encoding=st.sampled_from(["text/event-stream", "application/octet-stream"]),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_pieces_come_back_byte_for_byte(tmp_path: Path, pieces: list[bytes], encoding: str, anyio_backend: str) -> None:
    """Whatever arrives, in whatever pieces, is replayed in the same pieces."""
    path = tmp_path / "any.cassette"
    reply = Reply(headers={"content-type": encoding}, chunks=[Chunk(piece) for piece in pieces])

    async def record_and_replay() -> None:
        with Cassette.record(path, inner=server(reply)) as cassette:
            assert await replayed(cassette) == (pieces, None)
        with Cassette.replay(path) as cassette:
            assert await replayed(cassette) == (pieces, None)

    anyio.run(record_and_replay, backend=anyio_backend)


class SleepingClock(Clock):
    """Sleeps in the time of the event loop, which in the test below is trio's for tests."""

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


@pytest.mark.parametrize("anyio_backend", ["trio"])
def test_times_are_recorded_and_pass_on_the_clock(path: Path, anyio_backend: str) -> None:
    """What took its time in the recording takes it again on the clock of the replay, and none of ours."""
    clock = Clock(jumps=True)

    async def record_and_replay() -> None:
        inner = PlaybackTransport(lambda endpoint, request: STREAM, clock=SleepingClock())
        async with Cassette.record(path, inner=inner) as cassette:
            await heard(cassette)
        with Cassette.replay(path, clock=clock) as cassette:
            await heard(cassette)

    trio.run(record_and_replay, clock=MockClock(autojump_threshold=0))
    assert re.findall(r"^(\w+).* after (.+)$", text_of(path), re.MULTILINE) == [
        ("reply", "1.500"),
        ("chunk", "0.250"),
        ("chunk", "0.250"),
        ("chunk", "0.250"),
    ]
    assert clock.now == 2.25


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Breakdown("ConnectionFailedError", "refused", Phase.BEFORE_SEND), ConnectionFailedError),
        (Reply(chunks=STREAM.chunks[:1], end=Breakdown("TruncatedAnswerError", "cut")), TruncatedAnswerError),
    ],
)
async def test_failures_of_the_connection_are_recorded_too(
    path: Path, reply: Reply | Breakdown, kind: type[AirframeError]
) -> None:
    """What broke in the recording breaks in the replay, at the same place with the same error."""
    async with Cassette.record(path, inner=server(reply)) as cassette:
        pieces, error = await replayed(cassette)
    with Cassette.replay(path) as cassette:
        again, same = await replayed(cassette)
    assert type(error) is type(same) is kind
    assert error is not None
    assert same is not None
    assert (pieces, str(error), error.phase) == (again, str(same), same.phase)


async def test_a_recording_ends_where_its_reader_left(path: Path) -> None:
    """Who reads further than the recording goes is told so; limits hold on replay as well."""
    cassette = Cassette.record(path, inner=server(STREAM))
    async with cassette, OpenAICompatibleAdapter(transport=cassette.transport).stream_infer(ENDPOINT, ask()) as stream:
        await anext(stream)
    with Cassette.replay(path) as cassette:
        stream = OpenAICompatibleAdapter(transport=cassette.transport).stream_infer(ENDPOINT, ask())
        await anext(stream)
        with pytest.raises(AirframeError, match="the reader left"):
            await anext(stream)
    edit(path, "end left", "end complete")
    with Cassette.replay(path) as cassette:
        adapter = OpenAICompatibleAdapter(transport=cassette.transport, limits=Limits(body_bytes=10))
        with pytest.raises(LimitExceededError, match=r"Limits\.body_bytes"):
            await anext(adapter.stream_infer(ENDPOINT, ask()))


async def test_another_request_is_refused_with_what_differs(path: Path) -> None:
    """An unmatched request fails at once with a diff, also when a health check or a fallback swallows the error."""
    async with Cassette.record(path, inner=server(STREAM)) as cassette:
        await heard(cassette)
    with pytest.raises(UnmatchedRequestError) as caught:
        async with Cassette.replay(path) as cassette:
            await heard(cassette, "How?")
    said = str(caught.value).splitlines()
    assert said[0].startswith(f"{path} has no exchange left for POST http://127.0.0.1/v1/chat/completions; if the ")
    assert said[1:3] == ["--- recorded in line 3", "+++ asked now"]
    assert [line for line in said[3:] if line[0] in "+-"] == [
        '-|       "content": "Why?"',
        '+|       "content": "How?"',
    ]
    cassette = Cassette.replay(path)
    with pytest.raises(UnmatchedRequestError):
        await heard(cassette, "How?")
    assert await heard(cassette) == "The 天空"
    with pytest.raises(UnmatchedRequestError, match="How"):
        cassette.assert_played()


async def test_what_is_compared(path: Path) -> None:
    """JSON is compared by meaning, headers by what is written of them; each exchange answers once."""
    async with Cassette.record(path, inner=server(STREAM, STREAM)) as cassette:
        await heard(cassette)
        await heard(cassette)
    edit(path, '"role": "user",', '"role":   "\\u0075ser",')
    with Cassette.replay(path) as cassette:
        assert await heard(cassette) == "The 天空"
        assert await heard(cassette) == "The 天空"
    with pytest.raises(UnmatchedRequestError, match="every recorded exchange has been played already"):
        await heard(cassette)
    edit(path, "content-type: application/json", "content-type: text/json")
    cassette = Cassette.replay(path)
    assert await heard(cassette) == "The 天空"
    with pytest.raises(UnmatchedRequestError, match=r"-  content-type: text/json\n\+  content-type: application/json"):
        await heard(cassette)


async def test_an_unplayed_exchange_fails(path: Path) -> None:
    """Leaving the context asks for the whole recording; an error of the test's own is not hidden by it."""
    async with Cassette.record(path, inner=server(STREAM, STREAM)) as cassette:
        await heard(cassette)
        await heard(cassette, "How?")
    cassette = Cassette.replay(path)
    with (
        pytest.raises(AssertionError, match=r"1 recorded exchanges were not asked for.*\nline 40: POST http"),
        cassette,
    ):
        await heard(cassette)
    with pytest.raises(KeyError), Cassette.replay(path):
        raise KeyError


async def test_modes(path: Path) -> None:
    """`none` never records, `once` records what is not there, `all` always records."""
    with pytest.raises(CassetteError, match="is not there; record it first"):
        Cassette(path, mode="none")
    other = Reply.of(STREAM.body.replace(b"The ", b"A "), content_type="text/event-stream", x_request_id="req-1")
    for mode, reply, recording, expected in (
        ("once", STREAM, True, "The 天空"),
        ("once", other, False, "The 天空"),
        ("none", other, False, "The 天空"),
        ("all", other, True, "A 天空"),
        ("none", STREAM, False, "A 天空"),
    ):
        async with Cassette(path, mode=mode, inner=server(reply)) as cassette:  # type: ignore[arg-type]
            assert cassette.recording is recording
            assert await heard(cassette) == expected
    with pytest.raises(ValueError, match="mode must be none, once or all, got 'new'"):
        Cassette(path, mode="new")  # type: ignore[arg-type]


async def test_a_failed_recording_leaves_the_old_file(path: Path) -> None:
    """What a failing test recorded is not written, and a recording of nothing neither."""
    async with Cassette.record(path, inner=server(STREAM)) as cassette:
        await heard(cassette)
    edit(path, "Why?", "Who?")

    async def record_and_fail() -> None:
        async with Cassette.record(path, inner=server(STREAM)) as cassette:
            await heard(cassette)
            raise KeyError

    with pytest.raises(KeyError):
        await record_and_fail()
    async with Cassette.record(path, inner=server()):
        pass
    assert "Who?" in text_of(path)
    assert os.listdir(path.parent) == ["sky.cassette"]  # noqa: PTH208 - no iterator in async code


async def test_faults_happen_to_a_cassette(path: Path) -> None:
    """Any fault can be done to a recording, and then exchanges may stay unplayed."""
    async with Cassette.record(path, inner=server(STREAM, STREAM)) as cassette:
        await heard(cassette)
        await heard(cassette, "How?")
    with Cassette.replay(path, faults=[cut_after(events=1), split_every(bytes=3)]) as cassette:
        with pytest.raises(TruncatedAnswerError) as caught:
            await heard(cassette)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "The "
    with Cassette.replay(path, faults=unavailable(times=2)) as cassette:
        for text in ("Why?", "How?"):
            for _ in range(2):
                with pytest.raises(AirframeError, match="503"):
                    await heard(cassette, text)
            assert await heard(cassette, text) == "The 天空"


async def test_health_checks_are_recorded_like_calls(path: Path) -> None:
    """Everything that goes through the transport is on the cassette."""
    models = Reply.of(b'{"data": [{"id": "small"}]}')
    for _ in ("recorded", "replayed"):
        async with Cassette(path, inner=server(models)) as cassette:
            adapter = OpenAICompatibleAdapter(transport=cassette.transport)
            assert (await adapter.check_health(ENDPOINT)).state is HealthState.HEALTHY
