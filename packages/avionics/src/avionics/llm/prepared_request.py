"""A request as one provider is asked it, and what is to be said with its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from airframe.stream import InferenceStream
from airframe.types import InferenceRequest, InferenceResult, InferenceWarning, MessageEvent, StreamEvent
from avionics.llm.catalog import AnswerCheck

__all__ = ["PreparedRequest"]


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """`request` is what the adapter is given; `warnings` tell what was changed on the way.

    `check`, if there is one, looks at the answer and gives further warnings.
    """

    request: InferenceRequest
    warnings: tuple[InferenceWarning, ...] = ()
    check: AnswerCheck | None = None

    def finish(self, result: InferenceResult) -> InferenceResult:
        """The answer, with the warnings among its own."""
        found = self.check(result) if self.check else ()
        if not self.warnings and not found:
            return result
        return replace(result, warnings=(*self.warnings, *result.warnings, *found))

    def finish_stream(self, stream: InferenceStream) -> InferenceStream:
        """The same of a stream."""
        return InferenceStream(_FinishedEvents(stream, self)) if self.warnings or self.check else stream


class _FinishedEvents:
    """The events of a stream, of which the one with the whole answer is finished."""

    def __init__(self, stream: InferenceStream, prepared: PreparedRequest) -> None:
        self._stream: InferenceStream | None = stream
        self._prepared = prepared
        self._received = InferenceResult()

    async def read(self) -> Sequence[StreamEvent]:
        whole: list[StreamEvent] = []
        if self._stream is not None:
            async for event in self._stream:
                if not isinstance(event, MessageEvent):
                    return (*whole, event)
                whole.append(replace(event, result=self._prepared.finish(event.result)))  # the end goes with it
        return whole

    def abandon(self) -> None:
        self._received = self.partial()
        self._stream = None  # a stream lets go when it is forgotten

    async def aclose(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()

    def partial(self) -> InferenceResult:
        return self._received if self._stream is None else self._stream.partial
