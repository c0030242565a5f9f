"""Several middlewares around one call: the first one is outermost.

first ─> second ─> core         the request goes in
first <─ second <─ core         the answer comes out
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from airframe.types import InferenceResult
from avionics.errors import LLMError
from avionics.llm.middleware.call_context import CallContext
from avionics.llm.middleware.failures import report_failure, settle_failure
from avionics.llm.middleware.hooked_stream import HookedStream
from avionics.llm.middleware.middleware import AnswerStream, Ask, AskStream, Middleware
from avionics.llm.observation import FaultLog

__all__ = ["MiddlewareChain"]


class MiddlewareChain:
    """Middlewares in their order, outermost first. False when there is none. Safe to share between tasks.

    Args:
        middlewares: from the one that sees the caller's own words to the one next to the backend.
        faults: is told of failures that are skipped; None logs the first of each.
    """

    def __init__(self, middlewares: Sequence[Middleware] = (), *, faults: FaultLog | None = None) -> None:
        self._middlewares = tuple(middlewares)
        self._faults = faults or FaultLog(logging.getLogger(__name__))

    def __bool__(self) -> bool:
        return bool(self._middlewares)

    async def run(self, call: CallContext, core: Ask) -> InferenceResult:
        """Make a call: `core` is asked with what the middlewares make of it, and gives the answer that they see.

        Raises what `core` and decisions of middlewares raise, and `MiddlewareError`.
        """
        ask = core
        for middleware in reversed(self._middlewares):
            ask = partial(self._through, middleware, ask)
        return await ask(call)

    def stream(self, call: CallContext, core: AskStream) -> AnswerStream:
        """The same for a streamed call; reading raises."""
        ask = core
        for middleware in reversed(self._middlewares):
            ask = partial(self._stream_through, middleware, ask)
        return ask(call)

    async def _through(self, middleware: Middleware, ask: Ask, call: CallContext) -> InferenceResult:
        inner = _Inner(ask)
        try:
            return await middleware(call, inner)
        except Exception as error:  # noqa: BLE001 - settled below
            if inner.error is None or isinstance(error, LLMError):
                settle_failure(middleware, error, self._faults)
            elif error is not inner.error:
                report_failure(middleware, error, self._faults)
        if inner.error is not None:
            raise inner.error
        return inner.result or await ask(call)

    def _stream_through(self, middleware: Middleware, ask: AskStream, call: CallContext) -> AnswerStream:
        return middleware.stream(call, ask) or HookedStream(middleware, call, ask, self._faults)


class _Inner:
    """The next one in the chain, and what came of asking it last: a middleware that fails afterwards loses nothing."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.result: InferenceResult | None = None
        self.error: Exception | None = None

    async def __call__(self, call: CallContext) -> InferenceResult:
        self.result = self.error = None
        try:
            self.result = await self._ask(call)
        except Exception as error:
            self.error = error
            raise
        return self.result
