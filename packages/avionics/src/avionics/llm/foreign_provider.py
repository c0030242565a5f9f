"""Providers that do not inherit from ours: of the two methods that they have, a whole provider is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from typing import cast

from airframe.adapters import Adapter
from airframe.endpoints import EndpointSpec, HealthReport, HealthState
from airframe.errors import AirframeError, BackendError, TruncatedAnswerError
from airframe.stream import InferenceStream
from airframe.types import (
    DoneEvent,
    FinishReason,
    InferenceRequest,
    InferenceResult,
    MessageEvent,
    ModelInfo,
    StreamEvent,
    TextPart,
    TokenEvent,
    ToolCall,
    Usage,
)
from avionics.errors import LLMError
from avionics.llm.provider import CompletionProvider, LLMProvider
from avionics.llm.requests import RequestOptions
from avionics.llm.token_stream import TokenChunk

__all__ = ["ForeignProvider"]


class ForeignProvider(LLMProvider):
    """A provider over an object that has `complete` and `stream_complete`; `provider` is that object.

    Its health and its models are not known, so it is taken to be well and to list none.
    """

    kind = "foreign"

    def __init__(self, provider: CompletionProvider, *, name: str) -> None:
        self.provider = provider
        endpoint = EndpointSpec(base_url="http://foreign.invalid", backend_kind=self.kind)
        super().__init__(_ForeignAdapter(provider), endpoint, name=name)


class _ForeignAdapter(Adapter):
    """What is told of an endpoint is of no use to the object behind it."""

    kind = ForeignProvider.kind

    def __init__(self, provider: CompletionProvider) -> None:
        self._provider = provider

    def stream_infer(self, endpoint: EndpointSpec, request: InferenceRequest) -> InferenceStream:  # noqa: ARG002
        chunks = self._provider.stream_complete(request.messages, model=request.model, **_options(request))
        return InferenceStream(_ForeignEvents(chunks))

    async def infer(self, endpoint: EndpointSpec, request: InferenceRequest) -> InferenceResult:  # noqa: ARG002
        try:
            completion = await self._provider.complete(request.messages, model=request.model, **_options(request))
        except LLMError as error:
            raise _airframe_error(error) from error
        return completion.result

    async def check_health(self, endpoint: EndpointSpec) -> HealthReport:  # noqa: ARG002
        return HealthReport(state=HealthState.HEALTHY, detail="not known to be otherwise")

    async def list_models(self, endpoint: EndpointSpec) -> Sequence[ModelInfo]:  # noqa: ARG002
        return ()

    async def aclose(self) -> None:
        """What the object holds open is its maker's business."""


class _ForeignEvents:
    def __init__(self, chunks: AsyncIterator[TokenChunk]) -> None:
        self._chunks = chunks
        self._texts: list[str] = []

    async def read(self) -> Sequence[StreamEvent]:
        try:
            async for chunk in self._chunks:
                if chunk.text:
                    self._texts.append(chunk.text)
                if chunk.is_final:
                    text: list[StreamEvent] = [TokenEvent(chunk.text)] if chunk.text else []
                    return (*text, MessageEvent(self._result(chunk)), DoneEvent())
                if chunk.text:
                    return (TokenEvent(chunk.text),)
        except LLMError as error:
            raise self._failure(_airframe_error(error)) from error
        raise self._failure(TruncatedAnswerError("the stream ended without a final chunk"))

    def abandon(self) -> None:
        """The generator is closed with the last reference to it."""

    async def aclose(self) -> None:
        if close := getattr(self._chunks, "aclose", None):
            await close()

    def partial(self) -> InferenceResult:
        return InferenceResult(content=[TextPart("".join(self._texts))] if self._texts else [])

    def _result(self, chunk: TokenChunk) -> InferenceResult:
        said = chunk.metadata
        return InferenceResult(
            content=[*self.partial().content, *cast("Sequence[ToolCall]", said.get("tool_calls") or ())],
            finish_reason=cast("FinishReason | None", said.get("finish_reason")) or FinishReason.UNKNOWN,
            usage=cast("Usage | None", said.get("usage")) or Usage(),
            model=cast("str | None", said.get("model")),
        )

    def _failure(self, error: AirframeError) -> AirframeError:
        error.partial, error.committed = self.partial(), bool(self._texts)
        return error


def _options(request: InferenceRequest) -> RequestOptions:
    """What the request states."""
    unstated = {item.name: getattr(InferenceRequest(messages=request.messages), item.name) for item in fields(request)}
    given = {name: getattr(request, name) for name in RequestOptions.__annotations__}
    return cast("RequestOptions", {name: value for name, value in given.items() if value != unstated[name]})


def _airframe_error(error: LLMError) -> AirframeError:
    """The gateway decides by airframe's categories."""
    if isinstance(error.__cause__, AirframeError):
        return error.__cause__
    return BackendError(
        str(error), category=error.category, status=error.status, code=error.code, retry_after=error.retry_after
    )
