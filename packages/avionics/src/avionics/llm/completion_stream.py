"""A streamed answer, as the gateway's caller holds it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

from anyio import CancelScope

from airframe.errors import TruncatedAnswerError
from avionics.errors import llm_error
from avionics.llm.call import Call
from avionics.llm.extended_calls import ExtendedAnswer, ExtendedCalls
from avionics.llm.forgotten import Forgotten
from avionics.llm.home_loop import HomeLoop
from avionics.llm.kept_answer import KeptAnswer
from avionics.llm.live_answer import LiveAnswer
from avionics.llm.order import Order
from avionics.llm.responses import LLMResponse, StreamingChunk

__all__ = ["CompletionStream", "StreamingCallback"]

_Answer: TypeAlias = LiveAnswer | KeptAnswer | ExtendedAnswer
StreamingCallback: TypeAlias = Callable[[StreamingChunk], None]


class CompletionStream:
    """The pieces of one answer: an async iterator of `StreamingChunk`, and a context manager that closes the call.

    ```python
    async with gateway.complete_stream("Why is the sky blue?") as stream:
        async for chunk in stream:
            print(chunk.text, end="")
    print(stream.response.cost_usd)
    ```

    Nothing is sent before the first piece is asked for. Deployments are exchanged only before the first piece is
    delivered; what breaks later raises an `LLMError` with `partial_text`, tokens and cost. Iteration raises
    `LLMError` and, when the resource callback refuses, `QuotaExceededError`. A plain `async for` works too; leaving
    it early is noticed when the stream is collected, so prefer the context manager.
    """

    def __init__(
        self, order: Order, calls: ExtendedCalls, *, deliver: StreamingCallback | None, forgotten: Forgotten
    ) -> None:
        self._call = order.call
        self._order = order
        self._calls = calls
        self._deliver = deliver
        self._answer: _Answer | None = None
        self._response: LLMResponse | None = None
        self._forgotten = forgotten
        self._home: HomeLoop | None = None
        """Where it is read, once it has begun."""
        self._opening: CancelScope | None = None
        self._over = False

    @property
    def response(self) -> LLMResponse:
        """The whole answer. Raises `RuntimeError` until the last chunk was read."""
        if self._response is None:
            raise RuntimeError("the stream has no response yet: read it to its end first")
        return self._response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamingChunk:
        if self._over:
            raise StopAsyncIteration
        try:
            answer = self._answer or await self._open()
            text = await answer.next()
            chunk = await self._end(answer) if text is None else self._chunk(answer, text)
        except BaseException as error:
            self._over = True
            self._present_call.abort(error)  # an error that ended the call has done so already
            if self._answer is not None:
                await self._answer.aclose()
            raise
        if self._deliver is not None:
            self._deliver(chunk)
        return chunk

    async def aclose(self) -> None:
        """End the call now. The backend sees the disconnect if it was still speaking."""
        if self._home is not None and not self._over:
            self._present_call.abandon()
        self._over = True
        if self._opening is not None:
            self._opening.cancel()
        if self._answer is not None:
            await self._answer.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._home is not None and not self._over:
            self._forgotten.put(self._present_call.abandon, self._home)

    @property
    def _present_call(self) -> Call:
        return self._answer.call if self._answer else self._call

    async def _open(self) -> _Answer:
        """Up to here deployments may be exchanged, and another task that closes the stream ends the waiting."""
        self._home = HomeLoop()
        with CancelScope() as self._opening:
            self._answer = answer = await self._calls.streamed(self._order)
            answer.call.first_event()
        if self._answer is None or self._over:
            first = self._order.route.tiers[0].deployments[0]
            error = TruncatedAnswerError("the stream was closed while it was read, and ended before its answer did")
            raise llm_error(error, provider=first.provider, model=first.model)
        return self._answer

    async def _end(self, answer: _Answer) -> StreamingChunk:
        self._over = True
        self._response = await answer.finish()
        return self._chunk(answer, "", is_final=True, model=self._response.model, tokens=answer.reported_tokens)

    def _chunk(
        self,
        answer: _Answer,
        text: str,
        *,
        is_final: bool = False,
        model: str | None = None,
        tokens: int | None = None,
    ) -> StreamingChunk:
        return StreamingChunk(
            text,
            is_final,
            self._call.id,
            self._call.caller.agent_name,
            answer.provider,
            model or answer.model,
            answer.pieces if tokens is None else tokens,
            time.time(),
        )
