"""The stream that a caller holds: it ends once, and lets go of its source however it is left."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest

from airframe import InferenceResult, InferenceStream, MalformedAnswerError, StreamEvent
from airframe.types import DoneEvent, MessageEvent, TextPart, TokenEvent

pytestmark = pytest.mark.anyio

WHOLE = InferenceResult(content=(TextPart("The sky."),))


@dataclass
class Source:
    """Hands out batches of events, or raises; counts how it is let go."""

    batches: list[Sequence[StreamEvent] | Exception] = field(default_factory=list[Sequence[StreamEvent] | Exception])
    reads: int = 0
    abandoned: int = 0
    closed: int = 0

    async def read(self) -> Sequence[StreamEvent]:
        await anyio.lowlevel.checkpoint()
        self.reads += 1
        batch = self.batches.pop(0) if self.batches else ()
        if isinstance(batch, Exception):
            raise batch
        return batch

    def abandon(self) -> None:
        self.abandoned += 1

    async def aclose(self) -> None:
        self.closed += 1

    def partial(self) -> InferenceResult:
        return InferenceResult(content=(TextPart("The"),))


def source() -> Source:
    return Source([[TokenEvent("The "), TokenEvent("sky.")], [MessageEvent(WHOLE), DoneEvent()]])


async def test_events_come_in_order_and_the_result_stays() -> None:
    """All events of one read are handed out before the next read; then the stream is over, for good."""
    given = source()
    stream = InferenceStream(given)
    assert await anext(stream) == TokenEvent("The ")
    assert await anext(stream) == TokenEvent("sky.")
    assert given.reads == 1
    assert [event async for event in stream] == [MessageEvent(WHOLE), DoneEvent()]
    assert stream.result is WHOLE
    assert stream.partial is WHOLE
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert (given.closed, given.abandoned) == (1, 0)


async def test_nothing_is_asked_before_somebody_listens() -> None:
    """Making a stream sends nothing; a stream that is closed unread never does."""
    given = source()
    async with InferenceStream(given):
        pass
    assert (given.reads, given.closed) == (0, 1)


async def test_there_is_no_result_before_the_end() -> None:
    """Asking for it is a mistake that says what to do instead; what came so far is there."""
    async with InferenceStream(source()) as stream:
        await anext(stream)
        with pytest.raises(RuntimeError, match="read it to its end first, or look at `partial`"):
            _ = stream.result
        assert stream.partial.text == "The"


async def test_an_error_ends_it() -> None:
    """It is raised once; then the stream is over, and its source let go at once."""
    given = Source([[TokenEvent("The ")], MalformedAnswerError("?")])
    stream = InferenceStream(given)
    assert await anext(stream) == TokenEvent("The ")
    with pytest.raises(MalformedAnswerError):
        await anext(stream)
    assert given.abandoned == 1
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    with pytest.raises(RuntimeError):
        _ = stream.result


async def test_leaving_the_context_closes_it() -> None:
    """By the end of the block, by `break`, and by an exception."""
    for leave in ("end", "break", "raise"):
        given = source()
        stream = InferenceStream(given)
        try:
            async with stream:
                async for _ in stream:
                    if leave == "break":
                        break
                    if leave == "raise":
                        raise KeyError(leave)
        except KeyError:
            pass
        assert given.closed == 1, leave
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_closing_twice_closes_once() -> None:
    """And a stream that was closed in the middle gives no more events."""
    given = source()
    stream = InferenceStream(given)
    await anext(stream)
    await stream.aclose()
    await stream.aclose()
    assert given.closed == 1
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_cancelling_lets_go_without_waiting() -> None:
    """Cancellation may strike again, so the source is abandoned before anything is awaited."""
    given = source()
    stream = InferenceStream(given)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anext(stream)
    assert scope.cancelled_caught
    assert (given.abandoned, given.closed) == (1, 0)


async def test_forgetting_lets_go() -> None:
    """A stream that nobody holds any more is given back when it is collected."""
    given = source()
    stream = InferenceStream(given)
    await anext(stream)
    del stream
    gc.collect()
    assert given.abandoned == 1


async def test_it_tells_whether_it_is_open() -> None:
    """From the first event that is asked for, until it is over, however that comes about."""
    stream = InferenceStream(source())
    assert not stream.is_open
    async for _ in stream:
        assert stream.is_open
    assert not stream.is_open
    for end in ("close", "abandon", "fail"):
        stream = InferenceStream(Source([[TokenEvent("The ")], MalformedAnswerError("?")]))
        await anext(stream)
        assert stream.is_open
        if end == "close":
            await stream.aclose()
        elif end == "abandon":
            stream.abandon()
        else:
            with pytest.raises(MalformedAnswerError):
                await anext(stream)
        assert not stream.is_open


async def test_abandoning_waits_for_nothing() -> None:
    """A stream can be let go where nothing can be awaited; once, and for good."""
    given = source()
    stream = InferenceStream(given)
    await anext(stream)
    stream.abandon()
    stream.abandon()
    await stream.aclose()
    assert (given.abandoned, given.closed) == (1, 0)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
