"""Trying middleware without a gateway and without a backend, whole and streamed.

rehearsal = Rehearsal(["I wrote to [EMA", "IL_1]."])
played = await rehearsal.play(RedactPII(), question="Write to ann@example.org.", streamed=True)
assert rehearsal.asked[0].request.messages[-1].text == "Write to [EMAIL_1]."
assert "".join(played.pieces) == "I wrote to ann@example.org."
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from anyio.lowlevel import checkpoint

from airframe.types import FinishReason, InferenceRequest, InferenceResult, Message, Part, TextPart
from avionics.llm.middleware.call_context import CallContext
from avionics.llm.middleware.chain import MiddlewareChain
from avionics.llm.middleware.middleware import AnswerStream, Middleware, Piece
from avionics.llm.requests import RequestOptions

__all__ = ["Played", "Rehearsal"]


@dataclass(frozen=True, slots=True)
class Played:
    """What the caller got: the whole answer, and the pieces of text if it was streamed."""

    result: InferenceResult
    pieces: Sequence[str] = ()


class Rehearsal:
    """Stands in for all that is inside of the middleware. It answers every call in the same way.

    Args:
        pieces: the text of the answer, in the pieces of a stream.
        parts: what else is in the answer.
        error: what is raised in place of an answer; in a stream, after the pieces.
    """

    def __init__(
        self, pieces: Sequence[str] = ("Because.",), *, parts: Sequence[Part] = (), error: Exception | None = None
    ) -> None:
        self.pieces = pieces
        self.parts = parts
        self.error = error
        self.asked: list[CallContext] = []
        """What came through the middleware, in order."""
        self.closed = 0
        """How many streams were closed."""

    async def play(
        self,
        *middlewares: Middleware,
        question: str = "Why?",
        messages: Sequence[Message] = (),
        streamed: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Played:
        """Make one call through these middlewares, outermost first: `messages`, and then the question."""
        request = InferenceRequest(messages=[*messages, Message("user", question)], **options)
        call = CallContext(request=request, call_id="rehearsal", streamed=streamed)
        chain = MiddlewareChain(middlewares)
        if not streamed:
            return Played(await chain.run(call, self.whole))
        stream = chain.stream(call, self.stream)
        pieces: list[str] = []
        while isinstance(piece := await stream.__anext__(), str):
            pieces.append(piece)
        await stream.aclose()
        return Played(piece, pieces)

    async def whole(self, call: CallContext) -> InferenceResult:
        """The core of a call that is not streamed."""
        self.asked.append(call)
        await checkpoint()
        if self.error is not None:
            raise self.error
        return self._answer()

    def stream(self, call: CallContext) -> AnswerStream:
        """The core of a streamed one."""
        self.asked.append(call)
        return _Stream(self, [*self.pieces, self.error or self._answer()])

    def _answer(self) -> InferenceResult:
        content = (TextPart("".join(self.pieces)), *self.parts)
        return InferenceResult(content=content, finish_reason=FinishReason.STOP)


class _Stream:
    def __init__(self, rehearsal: Rehearsal, events: Sequence[Piece | Exception]) -> None:
        self._rehearsal = rehearsal
        self._events = deque(events)

    async def __anext__(self) -> Piece:
        await checkpoint()
        if not self._events:
            raise StopAsyncIteration
        event = self._events.popleft()
        if isinstance(event, Exception):
            raise event
        return event

    async def aclose(self) -> None:
        self._events.clear()
        self._rehearsal.closed += 1
