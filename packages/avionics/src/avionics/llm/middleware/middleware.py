"""What stands around calls: it sees a request before it is made, and an answer before the caller does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal, Protocol, TypeAlias

from airframe.types import InferenceRequest, InferenceResult
from avionics.llm.middleware.call_context import CallContext

__all__ = ["AnswerStream", "Ask", "AskStream", "FailurePolicy", "Middleware", "Piece", "TextTransform"]

FailurePolicy: TypeAlias = Literal["raise", "skip"]
"""What becomes of a call when a middleware fails: it fails too, or goes on as if the middleware were not there."""

Ask: TypeAlias = Callable[[CallContext], Awaitable[InferenceResult]]
"""Makes the call, or hands it to the next middleware."""

Piece: TypeAlias = "str | InferenceResult"
"""What a streamed answer consists of: pieces of text, and at the end the whole answer, once."""


class AnswerStream(Protocol):
    """A streamed answer. Reading raises what making the call raises."""

    async def __anext__(self) -> Piece:
        """The next piece of text, or the whole answer, after which nothing comes."""
        ...

    async def aclose(self) -> None:
        """End the call now. Safe to call twice."""
        ...


AskStream: TypeAlias = Callable[[CallContext], AnswerStream]
"""Begins a streamed call, or hands it to the next middleware. Nothing is sent before the first piece is asked for."""


class TextTransform(Protocol):
    """Changes the text of a stream. It may hold back what it has to see more of."""

    @property
    def held(self) -> str:
        """The text that it was fed and has given nothing for yet, unchanged."""
        ...

    def feed(self, text: str, /) -> str:
        """Take a piece; gives what can be said now, which may be nothing."""
        ...

    def finish(self) -> str:
        """Nothing more comes; gives the rest."""
        ...


class Middleware:
    """Stands around every call. Override what is of interest; one object serves all calls, also at the same time.

    An `LLMError` that is raised here is a decision, and reaches the caller. Any other exception is a failure of the
    middleware: see `on_failure`.
    """

    on_failure: FailurePolicy = "raise"
    """`raise`: the caller gets a `MiddlewareError`. `skip`: the first failure is logged, and the call goes on."""

    async def before_invoke(self, call: CallContext, /) -> InferenceRequest | InferenceResult | None:
        """Another request to make in place of this one, or an answer, and nothing is asked; None changes nothing."""

    async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> InferenceResult | None:
        """Another answer in place of this one; None changes nothing. `call` is the one that `before_invoke` saw.

        In a stream the text has been told by now, except what a transform holds back.
        """

    async def invoke_failed(self, call: CallContext, error: Exception, /) -> None:
        """No whole answer came: the caller gets `error`. Cancelled calls and streams that were left are not told."""

    def stream_transform(self, call: CallContext, /) -> TextTransform | None:
        """What changes the text of this streamed call; None changes nothing. Asked for after `before_invoke`."""

    async def __call__(self, call: CallContext, ask: Ask, /) -> InferenceResult:
        """The whole way of a call that is not streamed; override it to ask twice, to hold a lock, to measure.

        This one calls `before_invoke`, `ask`, and `after_invoke` or `invoke_failed`.
        """
        changed = await self.before_invoke(call)
        if isinstance(changed, InferenceResult):
            return changed
        try:
            result = await ask(replace(call, request=changed) if changed else call)
        except Exception as error:
            await self.invoke_failed(call, error)
            raise
        return await self.after_invoke(call, result) or result

    def stream(self, call: CallContext, ask: AskStream, /) -> AnswerStream | None:
        """The same for a streamed call; None leaves it to the other methods.

        What a stream of one's own raises always reaches the caller: what it has taken cannot be given back.
        """
