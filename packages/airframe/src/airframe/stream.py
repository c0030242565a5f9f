"""The stream that a caller holds: an async iterator of events that cannot be left open by mistake.

Where the events come from is an `EventSource`: an exchange over HTTP, a model in the process, a script in a test. The
stream adds what holds for all of them: it is a context manager, it keeps the result, it ends once, and it lets go of
its source however the caller leaves it, be it by the end, an error, cancellation, `break`, or forgetting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from airframe.types.events import StreamEvent, StreamEventType
from airframe.types.result import InferenceResult

__all__ = ["EventSource", "InferenceStream"]


class EventSource(Protocol):
    """What an `InferenceStream` reads from."""

    async def read(self) -> Sequence[StreamEvent]:
        """The next events, at least one; none means that the stream is over.

        Raises `AirframeError` with `partial`, `committed` and `attempts` filled in.
        """
        ...

    def abandon(self) -> None:
        """Let go at once, without waiting. Safe to call twice, from any thread, and from garbage collection."""
        ...

    async def aclose(self) -> None:
        """Let go in an orderly way."""
        ...

    def partial(self) -> InferenceResult:
        """What has been received so far."""
        ...


class InferenceStream:
    """The events of one answer.

    ```python
    async with adapter.stream_infer(endpoint, request) as stream:
        async for event in stream:
            ...
    stream.result
    ```

    Nothing is sent before the first event is asked for. A plain `async for` works too; the context manager is the
    better habit, because it closes the exchange at a known line. Iteration raises `AirframeError`.
    """

    __slots__ = ("__weakref__", "_begun", "_events", "_over", "_position", "_result", "_source")

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._events: Sequence[StreamEvent] = ()
        self._position = 0
        self._result: InferenceResult | None = None
        self._begun = False
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        # The hot path: all events of one network read are handed out without awaiting.
        position = self._position
        if position < len(self._events):
            self._position = position + 1
            return self._events[position]
        return await self._next()

    async def _next(self) -> StreamEvent:
        if self._over:
            raise StopAsyncIteration
        self._begun = True
        try:
            events = await self._source.read()
        except BaseException:
            # Cancellation may strike again while we wait, so what matters is done without waiting.
            self.abandon()
            raise
        if not events:
            await self.aclose()
            raise StopAsyncIteration
        last = events[-1]
        if last.type is StreamEventType.DONE:
            self._result = next((event.result for event in events if event.type is StreamEventType.MESSAGE), None)
        self._events, self._position = events, 1
        return events[0]

    @property
    def result(self) -> InferenceResult:
        """The answer. Raises `RuntimeError` until the stream has been read to its end."""
        if self._result is None:
            raise RuntimeError("the stream has no result yet: read it to its end first, or look at `partial`")
        return self._result

    @property
    def partial(self) -> InferenceResult:
        """What has been received so far; the whole answer once it is there."""
        return self._result or self._source.partial()

    @property
    def is_open(self) -> bool:
        """Whether an exchange is held: from the first event that is asked for to the end, an error, or the closing."""
        return self._begun and not self._over

    async def aclose(self) -> None:
        """End the exchange now. The server sees the disconnect if it was still speaking."""
        if not self._over:
            self._end()
            await self._source.aclose()

    def abandon(self) -> None:
        """The same at once, without waiting, for where nothing can be awaited. Safe from any thread.

        Where it can, `aclose` is better: it lets the connection serve again when the answer was whole.
        """
        if not self._over:
            self._end()
            self._source.abandon()

    def _end(self) -> None:
        self._over = True
        self._events, self._position = (), 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not getattr(self, "_over", True):
            self._source.abandon()
