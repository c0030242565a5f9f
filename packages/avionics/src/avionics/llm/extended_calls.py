"""Calls through the middleware of a gateway, whole and streamed: one place where it stands around both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from airframe.types import InferenceResult
from avionics.llm.call import Call
from avionics.llm.conductor import Conductor
from avionics.llm.kept_answer import KeptAnswer
from avionics.llm.live_answer import LiveAnswer
from avionics.llm.observation import FaultLog
from avionics.llm.order import Order
from avionics.llm.responses import LLMResponse

if TYPE_CHECKING:
    from avionics.llm.middleware import CallContext, Middleware, MiddlewareChain
    from avionics.llm.middleware.middleware import AnswerStream

__all__ = ["ExtendedAnswer", "ExtendedCalls"]


class ExtendedCalls:
    """Makes calls as a `Conductor` does, with a chain of middleware around each, outermost first."""

    def __init__(self, conductor: Conductor, middleware: Sequence[Middleware], faults: FaultLog) -> None:
        self._conductor = conductor
        self._chain = _chain(middleware, faults) if middleware else None

    async def whole(self, order: Order) -> LLMResponse:
        """The whole answer. Raises `LLMError`."""
        if not self._chain:
            return await self._conductor.whole(order)
        asked = _Asked(order)

        async def ask(context: CallContext) -> InferenceResult:
            asked.response = await self._conductor.whole(asked.next_order(context))
            return _result(asked.response)

        result = await self._chain.run(_context(order, streamed=False), ask)
        return asked.response_with(result)

    async def streamed(self, order: Order) -> LiveAnswer | KeptAnswer | ExtendedAnswer:
        """The answer as it comes; its first piece is there. Raises `LLMError`."""
        if not self._chain:
            return await self._conductor.streamed(order)
        asked = _Asked(order)
        stream = self._chain.stream(
            _context(order, streamed=True), lambda context: _CoreStream(self._conductor, asked, context)
        )
        answer = ExtendedAnswer(stream, asked)
        try:
            await answer.open()
        except BaseException as error:
            asked.call.abort(error)  # in the middle of a middleware nobody else notices
            await answer.aclose()
            raise
        return answer


class ExtendedAnswer:
    """The pieces of an answer as the middleware lets them through; the counterpart of `LiveAnswer`."""

    def __init__(self, stream: AnswerStream, asked: _Asked) -> None:
        self._stream = stream
        self._asked = asked
        self._first: str | None = None
        self._result: InferenceResult | None = None
        self._begun = False

    @property
    def call(self) -> Call:
        """The books of the call; of the last one where the middleware asked again."""
        return self._asked.call

    @property
    def provider(self) -> str:
        """Who speaks."""
        return self._asked.answer.provider if self._asked.answer else self._asked.nobody

    @property
    def model(self) -> str | None:
        """What was asked for."""
        return self._asked.answer.model if self._asked.answer else None

    @property
    def pieces(self) -> int:
        """Pieces that have come from the backend."""
        return self._asked.answer.pieces if self._asked.answer else 0

    @property
    def reported_tokens(self) -> int | None:
        """How long the answer was by the backend's own count."""
        return self._asked.answer.reported_tokens if self._asked.answer else None

    async def open(self) -> None:
        """Get the first piece."""
        self._first = await self._read()

    async def next(self) -> str | None:
        """The next piece of text; None at the end. Raises `LLMError`."""
        if not self._begun:
            self._begun = True
            return self._first
        return await self._read()

    async def finish(self) -> LLMResponse:
        """The whole answer, once all of it was read."""
        assert self._result is not None, "the answer has not ended"
        return self._asked.response_with(self._result)

    async def aclose(self) -> None:
        """Let go of the backend."""
        await self._stream.aclose()

    async def _read(self) -> str | None:
        if self._result is not None:
            return None
        piece = await self._stream.__anext__()
        if isinstance(piece, str):
            return piece
        self._result = piece
        return None


class _Asked:
    """What was asked inside of the chain, and what came of it: once, not at all, or again, as the middleware wishes."""

    nobody = "middleware"
    """Who has answered when a middleware did."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._used = False
        self.call = order.call
        self.answer: LiveAnswer | KeptAnswer | None = None
        self.response: LLMResponse | None = None

    def next_order(self, context: CallContext) -> Order:
        """The order to carry out for a context. Asking again is another call in the records."""
        order = replace(self._order, call=self._order.call.again()) if self._used else self._order
        self._used = True
        self.call = order.call
        self.call.request = context.request
        return order

    def response_with(self, result: InferenceResult) -> LLMResponse:
        """The response with the answer that came out of the chain."""
        response = self.response or self._order.call.given(result, self.nobody)
        if _result(response) is result:
            return response
        changed = {"result": result, "finish_reason": result.finish_reason, "warnings": result.warnings}
        return replace(
            response, text=result.text, tool_calls=result.tool_calls, metadata={**response.metadata, **changed}
        )


class _CoreStream:
    """The call itself, at the inner end of the chain."""

    def __init__(self, conductor: Conductor, asked: _Asked, context: CallContext) -> None:
        self._conductor = conductor
        self._asked = asked
        self._context = context
        self._answer: LiveAnswer | KeptAnswer | None = None
        self._over = False

    async def __anext__(self) -> str | InferenceResult:
        if self._over:
            raise StopAsyncIteration
        if self._answer is None:
            self._answer = await self._conductor.streamed(self._asked.next_order(self._context))
            self._asked.answer = self._answer
        text = await self._answer.next()
        if text is not None:
            return text
        self._over = True
        self._asked.response = await self._answer.finish()
        return _result(self._asked.response)

    async def aclose(self) -> None:
        self._over = True
        if self._answer is not None:
            self._answer.call.abandon()
            await self._answer.aclose()


def _chain(middleware: Sequence[Middleware], faults: FaultLog) -> MiddlewareChain:
    from avionics.llm.middleware import MiddlewareChain  # for those who have some

    return MiddlewareChain(middleware, faults=faults)


def _context(order: Order, *, streamed: bool) -> CallContext:
    from avionics.llm.middleware import CallContext  # likewise

    call = order.call
    return CallContext(
        request=call.request,
        call_id=call.id,
        agent_name=call.caller.agent_name,
        tenant=call.caller.tenant,
        conversation_id=call.caller.conversation_id,
        streamed=streamed,
    )


def _result(response: LLMResponse) -> InferenceResult:
    return cast("InferenceResult", response.metadata["result"])
