"""A streamed answer, as the gateway's caller holds it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeAlias

from airframe.errors import AirframeError, TruncatedAnswerError
from airframe.stream import InferenceStream
from airframe.types import InferenceRequest, StreamEventType
from avionics.llm.attempt_loop import first_answer
from avionics.llm.call import Call
from avionics.llm.fallback import empty_answer_error, is_empty
from avionics.llm.provider import LLMProvider
from avionics.llm.responses import LLMResponse, StreamingChunk

__all__ = ["CompletionStream", "StreamingCallback"]

_UNHEARD_PIECES = frozenset({StreamEventType.REASONING, StreamEventType.TOOL_CALL_DELTA})
"""Parts of an answer that are no text: counted, and found whole in the response."""

StreamingCallback: TypeAlias = Callable[[StreamingChunk], None]


class CompletionStream:
    """The pieces of one answer: an async iterator of `StreamingChunk`, and a context manager that closes the call.

    ```python
    async with gateway.complete_stream("Why is the sky blue?") as stream:
        async for chunk in stream:
            print(chunk.text, end="")
    print(stream.response.cost_usd)
    ```

    Nothing is sent before the first piece is asked for. Providers are exchanged only before the first piece is
    delivered; what breaks later raises an `LLMError` with `partial_text`, tokens and cost. Iteration raises
    `LLMError` and, when the resource callback refuses, `QuotaExceededError`. A plain `async for` works too; leaving
    it early is noticed when the stream is collected, so prefer the context manager.
    """

    def __init__(
        self,
        call: Call,
        providers: Sequence[Callable[[], LLMProvider]],
        *,
        check: Callable[[InferenceRequest], None],
        deliver: StreamingCallback | None,
        logger: logging.Logger,
    ) -> None:
        self._call = call
        self._providers = providers
        self._check = check
        self._deliver = deliver
        self._logger = logger
        self._response: LLMResponse | None = None
        self._begun = self._over = False

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
            text = await (self._next_text() if self._begun else self._first_text())
        except BaseException:
            self._over = True
            raise
        chunk = await self._end() if text is None else self._chunk(text)
        if self._deliver is not None:
            self._deliver(chunk)
        return chunk

    async def aclose(self) -> None:
        """End the call now. The backend sees the disconnect if it was still speaking."""
        self._leave()
        if self._call.stream is not None:
            await self._call.stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._leave()

    async def _first_text(self) -> str | None:
        """Up to here the providers may be exchanged."""
        self._begun = True
        self._check(self._call.request)
        text = await first_answer(self._call, self._providers, self._ask, self._logger)
        self._call.first_event()
        return text

    async def _ask(self, provider: LLMProvider, request: InferenceRequest, *, last: bool) -> str | None:
        self._call.stream = stream = provider.stream(request)
        text = await self._read_text(stream)
        if text is None and not last and is_empty(stream.result):
            await stream.aclose()
            raise empty_answer_error(stream.result)
        return text

    async def _next_text(self) -> str | None:
        """From here on the answer is this provider's or nobody's."""
        assert self._call.stream is not None
        try:
            return await self._read_text(self._call.stream)
        except AirframeError as error:
            raise self._call.fail([self._call.attempt_failed(error)]) from error
        except BaseException as error:
            self._call.abort(error)
            raise

    async def _read_text(self, stream: InferenceStream) -> str | None:
        """The next piece of text; None at the end. Counts what else comes."""
        async for event in stream:
            if event.type is StreamEventType.TOKEN:
                self._call.piece_came()
                if event.text:
                    return event.text
            elif event.type is StreamEventType.DONE:
                return None
            elif event.type in _UNHEARD_PIECES:
                self._call.piece_came()
        error = TruncatedAnswerError("the stream ended before its answer did")
        error.partial = stream.partial
        raise error

    async def _end(self) -> StreamingChunk:
        stream = self._call.stream
        assert stream is not None
        self._over = True
        self._response = self._call.succeed(stream.result)
        await stream.aclose()
        reported = stream.result.usage.output_tokens
        tokens = self._call.pieces if reported is None else reported
        return self._chunk("", is_final=True, model=self._response.model, tokens=tokens)

    def _chunk(
        self, text: str, *, is_final: bool = False, model: str | None = None, tokens: int | None = None
    ) -> StreamingChunk:
        call = self._call
        return StreamingChunk(
            text,
            is_final,
            call.id,
            call.agent_name,
            call.provider.name,
            model or call.request.model,
            call.pieces if tokens is None else tokens,
            time.time(),
        )

    def _leave(self) -> None:
        if self._begun and not self._over:
            self._call.abandon()
        self._over = True
