"""Faults done to good answers, and what real adapters make of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe import BackendKind, EndpointSpec, RetryPolicy, create_adapter
from airframe.endpoints import Timeouts
from airframe.errors import (
    AirframeError,
    BackendError,
    CallTimeoutError,
    ConnectionFailedError,
    ErrorCategory,
    MalformedAnswerError,
    TruncatedAnswerError,
)
from airframe.testing import Clock
from airframe.testing.mutators import (
    MUTATORS,
    Mutator,
    RetryAfterStyle,
    chained,
    cut_after,
    drop_end_marker,
    drop_tool_index,
    duplicate_tool_index,
    garbage_json,
    inject_error_event,
    rate_limited,
    reset_after,
    slow_first_byte,
    split_anywhere,
    split_every,
    split_utf8,
    stall_after,
    unavailable,
)
from airframe.testing.playback import PlaybackTransport
from airframe.testing.reply import Chunk, Reply
from airframe.types import InferenceRequest, InferenceResult, Message, TokenEvent

pytestmark = pytest.mark.anyio

ENDPOINT = EndpointSpec(base_url="http://127.0.0.1:1", model="m")
REQUEST = InferenceRequest(messages=[Message("user", "Why?")])
NO_WAIT = RetryPolicy(backoff=0, budget=None)


def sse(*events: object, names: bool = False) -> Reply:
    def frame(event: object) -> bytes:
        name = f"event: {event['type']}\n".encode() if names and isinstance(event, dict) else b""
        document = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        return name + b"data: " + document.encode() + b"\n\n"

    body = b": ping\n\n" + b"".join(map(frame, events))
    return Reply.of(body, content_type="text/event-stream")


def chat(delta: object, finish: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


CHAT = sse(chat({"content": "The "}), chat({"content": "天空"}), chat({}, "stop"), "[DONE]")
ANTHROPIC = sse(
    {"type": "message_start", "message": {"id": "1", "model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "The "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "天空"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
    names=True,
)
OLLAMA = Reply.of(
    b"".join(
        json.dumps({"model": "m", "message": {"role": "assistant", "content": text}, **rest}).encode() + b"\n"
        for text, rest in (("The ", {"done": False}), ("天空", {"done": False}), ("", {"done": True}))
    ),
    content_type="application/x-ndjson",
)
FORMATS: dict[str, tuple[BackendKind, Reply, int]] = {
    "chat": (BackendKind.OPENAI, CHAT, 2),
    "anthropic": (BackendKind.ANTHROPIC, ANTHROPIC, 4),
    "ollama": (BackendKind.OLLAMA, OLLAMA, 2),
}
"""For each: the adapter, a good answer, and how many events have been when its text is said."""

each_format = pytest.mark.parametrize("wire", FORMATS)


async def play(
    kind: BackendKind, replies: Sequence[Reply], timeouts: Timeouts | None = None
) -> tuple[str, InferenceResult | AirframeError]:
    """What a caller hears of these replies, and how it ends."""
    left = iter(replies)
    transport = PlaybackTransport(lambda endpoint, request: next(left))
    adapter = create_adapter(kind, transport=transport, retry=NO_WAIT, timeout=timeouts)
    stream = adapter.stream_infer(ENDPOINT, REQUEST)
    heard = ""
    try:
        async for event in stream:
            heard += event.text if isinstance(event, TokenEvent) else ""
    except AirframeError as error:
        return heard, error
    assert next(left, None) is None, "not every reply was asked for"
    return heard, stream.result


@each_format
@pytest.mark.parametrize(
    "fault", [split_utf8(), split_every(), split_anywhere(), slow_first_byte(), unavailable(times=2)], ids=str
)
async def test_faults_that_a_client_must_bear(wire: str, fault: Mutator) -> None:
    """However an answer is cut, delayed or first refused, it says the same."""
    kind, reply, _ = FORMATS[wire]
    heard, result = await play(kind, fault(reply))
    assert heard == "The 天空"
    assert isinstance(result, InferenceResult)
    assert b"".join(chunk.data for chunk in fault(reply)[-1].chunks) == reply.body


@each_format
@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        (cut_after, TruncatedAnswerError),
        (reset_after, ConnectionFailedError),
        (inject_error_event, BackendError),
        (garbage_json, MalformedAnswerError),
    ],
)
async def test_faults_in_the_middle_are_errors_that_keep_what_was_said(
    wire: str, fault: Callable[..., Mutator], error_class: type[AirframeError]
) -> None:
    """After the text and before the end: one error of the right kind, with the text in it."""
    kind, reply, said = FORMATS[wire]
    option = "events" if fault in (cut_after, reset_after) else "after"
    heard, error = await play(kind, fault(**{option: said})(reply))
    assert heard == "The 天空"
    assert type(error) is error_class
    assert isinstance(error, AirframeError)
    assert error.partial is not None
    assert error.partial.text == "The 天空"
    assert error.committed


@each_format
async def test_a_missing_end_marker(wire: str) -> None:
    """Where the last event is the proof of the end, the answer is truncated; chat's [DONE] only follows the proof."""
    kind, reply, _ = FORMATS[wire]
    heard, end = await play(kind, drop_end_marker()(reply))
    assert heard == "The 天空"
    assert type(end) is (InferenceResult if wire == "chat" else TruncatedAnswerError)
    assert len(drop_end_marker()(reply)[0].events()) == len(reply.events()) - 1


async def test_a_stall_runs_into_a_timeout() -> None:
    """Nothing more comes, and the adapter's own limit ends the wait."""
    heard, error = await play(BackendKind.OPENAI, stall_after(events=1)(CHAT), Timeouts(idle=0.01))
    assert heard == "The "
    assert isinstance(error, CallTimeoutError)
    assert error.timeout == "idle"


@pytest.mark.parametrize("style", get_args(RetryAfterStyle))
async def test_every_way_to_say_when_to_come_back(style: RetryAfterStyle) -> None:
    """Each style of Retry-After tells the adapter about the same time."""
    heard, error = await play(BackendKind.OPENAI, rate_limited(retry_after=3600.0, style=style, times=3)(CHAT))
    assert isinstance(error, BackendError)
    assert (heard, error.status, error.category) == ("", 429, ErrorCategory.RATE_LIMIT)
    if style == "none":
        assert error.retry_after is None
    else:
        assert error.retry_after is not None
        assert 3590 < error.retry_after < 3602


async def test_a_rate_limit_passes() -> None:
    """By default the answer follows."""
    first, second = rate_limited()(CHAT)
    assert (first.status, first.headers["retry-after"]) == (429, "1")
    assert second == CHAT


TOOLS = sse(
    chat({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": "{}"}}]}),
    chat({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "listen", "arguments": "{}"}}]}),
    chat({}, "tool_calls"),
    "[DONE]",
)


@pytest.mark.parametrize(("fault", "expected"), [(drop_tool_index(), [None, None]), (duplicate_tool_index(), [0, 0])])
def test_tool_indices(fault: Mutator, expected: list[int | None]) -> None:
    """The numbers of tool calls are changed, those of the choices are not; other events stay as they are."""
    (changed,) = fault(TOOLS)
    documents = [json.loads(event.document) for event in changed.events()[:-1]]
    choices: list[Any] = [document["choices"][0] for document in documents]
    assert [call.get("index") for choice in choices for call in choice["delta"].get("tool_calls", [])] == expected
    assert [choice["index"] for choice in choices] == [0, 0, 0]
    assert changed.body.endswith(TOOLS.body[TOOLS.events()[2].start :])


@pytest.mark.parametrize(("fault", "expected"), [(drop_tool_index(), None), (duplicate_tool_index(), 0)])
def test_block_indices_keep_the_names_of_their_events(fault: Mutator, expected: int | None) -> None:
    """Formats that number their blocks are hit as well."""
    block = {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use"}}
    (changed,) = fault(sse(block, names=True))
    (event,) = changed.events()
    assert (event.json() or {}).get("index") == expected
    assert b"event: content_block_start\ndata: " in changed.body


@pytest.mark.parametrize("name", MUTATORS)
def test_the_same_seed_does_the_same(name: str) -> None:
    """Faults without a place take one from the seed, and from nothing else; failures are passed over."""
    mutator = MUTATORS[name]()
    assert mutator(CHAT, seed=7) == mutator(CHAT, seed=7)
    refusal = Reply.of(b"{}", status=500)
    assert mutator(refusal) == [refusal]
    assert mutator.name == name
    assert str(mutator).startswith(f"{name}(")
    assert len({cut_after()(CHAT, seed=seed)[0].body for seed in range(40)}) == len(CHAT.events())


def test_faults_are_chained_in_order() -> None:
    """`|` and a list say the same, and each fault gets what the one before it left."""
    both = cut_after(events=2) | split_utf8()
    assert str(both) == "cut_after(events=2) | split_utf8()"
    assert both(CHAT) == chained([cut_after(events=2), split_utf8()])(CHAT)
    (reply,) = both(CHAT)
    assert reply.body == CHAT.body[: CHAT.events()[1].end]
    assert len(reply.chunks) == 5
    refused, cut = (unavailable() | cut_after(bytes=10))(CHAT)
    assert (refused.status, cut.body) == (503, CHAT.body[:10])


async def test_an_empty_piece_is_not_the_end() -> None:
    """A piece that holds nothing, as masking may leave it, is passed over."""
    reply = Reply(headers=CHAT.headers, chunks=[Chunk(b""), *CHAT.chunks])
    assert (await play(BackendKind.OPENAI, [reply]))[0] == "The 天空"


async def test_a_slow_first_byte_is_waited_for_on_the_clock() -> None:
    """The head is there at once, the body when the test says so."""
    clock = Clock(jumps=True)
    (reply,) = slow_first_byte(seconds=90)(CHAT)
    transport = PlaybackTransport(lambda endpoint, request: reply, clock=clock)
    stream = create_adapter(BackendKind.LLAMA_SERVER, transport=transport).stream_infer(ENDPOINT, REQUEST)
    assert [event async for event in stream if event.type == "token"] == [TokenEvent("The "), TokenEvent("天空")]
    assert clock.now == 90


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: cut_after(events=1, bytes=1), "events or bytes, not both"),
        (lambda: reset_after(bytes=-1), "0 or more"),
        (lambda: split_every(bytes=0), "1 or more bytes, got 0"),
        (lambda: unavailable(times=0), "times=1 or more"),
    ],
)
def test_impossible_faults_are_refused(make: Callable[[], Mutator], said: str) -> None:
    """A mistake is told where it is made."""
    with pytest.raises(ValueError, match=said):
        make()


@given(
    pieces=st.lists(st.binary(max_size=12), max_size=6),
    offsets=st.lists(st.integers(0, 80), max_size=8),
    span=st.tuples(st.integers(0, 80), st.integers(0, 80)),
    data=st.binary(max_size=4),
)
def test_cutting_and_splicing_do_what_they_say(
    pieces: list[bytes], offsets: list[int], span: tuple[int, int], data: bytes
) -> None:
    """Cutting keeps the bytes and the time; splicing changes the bytes between two offsets, and no others."""
    reply = Reply(chunks=[Chunk(piece, 1.0) for piece in pieces])
    cut = reply.cut_at(*offsets)
    assert cut.body == reply.body
    assert sum(chunk.wait for chunk in cut.chunks) == len(pieces)
    start, end = sorted(min(place, len(reply.body)) for place in span)
    spliced = reply.spliced(start, end, data)
    assert spliced.body == reply.body[:start] + data + reply.body[end:]
    assert sum(chunk.wait for chunk in spliced.chunks) <= len(pieces)
