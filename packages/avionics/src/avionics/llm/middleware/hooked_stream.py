"""A streamed answer on its way through the methods of one middleware.

It is an object and no async generator: one that is forgotten is gone at once, and with it what it reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from airframe.types import InferenceResult
from avionics.llm.middleware.call_context import CallContext
from avionics.llm.middleware.failures import report_failure, settle_failure
from avionics.llm.middleware.middleware import AnswerStream, AskStream, Middleware, Piece, TextTransform
from avionics.llm.observation import FaultLog

__all__ = ["HookedStream"]


class HookedStream:
    """An `AnswerStream`. A middleware that fails and is to be skipped is not asked again in this call.

    Args:
        middleware: whose methods are called.
        call: as it sees the call.
        ask: begins the stream inside it.
        faults: is told of failures that are skipped.
    """

    def __init__(self, middleware: Middleware, call: CallContext, ask: AskStream, faults: FaultLog) -> None:
        self._middleware = middleware
        self._call = call
        self._ask = ask
        self._faults = faults
        self._skipped = self._begun = self._over = False
        self._inner: AnswerStream | None = None
        self._transform: TextTransform | None = None
        self._ready = deque[Piece]()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Piece:
        try:
            return await self._next()
        except StopAsyncIteration:
            raise
        except Exception:
            await self.aclose()
            raise
        except BaseException:
            self._over = True
            raise

    async def aclose(self) -> None:
        """End the call now."""
        self._over = True
        self._ready.clear()
        if self._inner is not None:
            await self._inner.aclose()

    async def _next(self) -> Piece:
        if not self._begun:
            self._begun = True
            await self._begin()
        while not self._ready:
            if self._over or self._inner is None:
                raise StopAsyncIteration
            piece = await self._read(self._inner)
            if isinstance(piece, str):
                self._give(self._fed(piece))
            else:
                await self._end(piece)
        return self._ready.popleft()

    async def _begin(self) -> None:
        try:
            changed = await self._middleware.before_invoke(self._call)
            if isinstance(changed, InferenceResult):
                self._give(changed.text)
                self._ready.append(changed)
                return
            self._transform = self._middleware.stream_transform(self._call)
        except Exception as error:  # noqa: BLE001 - settled there
            self._skip(error)
            changed = None
        self._inner = self._ask(replace(self._call, request=changed) if changed else self._call)

    async def _read(self, inner: AnswerStream) -> Piece:
        try:
            return await inner.__anext__()
        except StopAsyncIteration:
            self._over = True
            raise
        except Exception as error:
            self._over = True
            await self._tell(error)
            raise

    async def _end(self, result: InferenceResult) -> None:
        """What the transform holds back is told once `after_invoke` has nothing against it."""
        self._over = True
        if not self._skipped:
            try:
                result = await self._middleware.after_invoke(self._call, result) or result
            except Exception as error:  # noqa: BLE001 - settled there
                self._skip(error, owed=self._transform.held if self._transform else "")
        self._give(self._finished())
        self._ready.append(result)

    async def _tell(self, failure: Exception) -> None:
        if not self._skipped:
            try:
                await self._middleware.invoke_failed(self._call, failure)
            except Exception as error:  # noqa: BLE001 - reported there
                report_failure(self._middleware, error, self._faults)

    def _fed(self, text: str) -> str:
        transform = self._transform
        return text if transform is None else self._changed(transform, lambda: transform.feed(text), text)

    def _finished(self) -> str:
        transform = self._transform
        return "" if transform is None else self._changed(transform, transform.finish, "")

    def _changed(self, transform: TextTransform, change: Callable[[], str], text: str) -> str:
        """What the transform makes of a piece; if it is skipped, all that it owes, unchanged."""
        owed = transform.held + text
        try:
            return change()
        except Exception as error:  # noqa: BLE001 - settled there
            self._skip(error, owed)
            return ""

    def _skip(self, error: Exception, owed: str = "") -> None:
        settle_failure(self._middleware, error, self._faults)
        self._skipped, self._transform = True, None
        self._give(owed)

    def _give(self, text: str) -> None:
        if text:
            self._ready.append(text)
