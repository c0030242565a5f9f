"""The answer of one provider as pieces of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from airframe.errors import AirframeError
from airframe.stream import InferenceStream
from airframe.types import InferenceResult, StreamEventType
from avionics.errors import llm_error
from avionics.llm.completion_result import CompletionResult

__all__ = ["TokenChunk", "TokenStream"]


@dataclass(slots=True)
class TokenChunk:
    """A piece of text. The last one has `is_final`, no text, and `metadata` with `model`, `finish_reason`,
    `tool_calls`, `usage`, `cost` and `warnings`.

    `token_count` is how many tokens have been said so far: pieces counted while they come (llama.cpp sends a token in
    each, others may send several), and at the end the backend's own number where it gives one.
    """

    text: str
    is_final: bool = False
    token_count: int = 0
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])


class TokenStream:
    """An async iterator of `TokenChunk`, and a context manager that closes the exchange. Raises `LLMError`.

    Args:
        stream: what is read.
        provider: who is asked.
        model: what is asked for.
        record: is told once how it ended.
        complete: makes a completion of the whole answer.
    """

    def __init__(
        self,
        stream: InferenceStream,
        *,
        provider: str,
        model: str | None,
        record: Callable[[InferenceResult | AirframeError | None], None],
        complete: Callable[[InferenceResult], CompletionResult[None]],
    ) -> None:
        self._stream = stream
        self._provider = provider
        self._model = model
        self._record = record
        self._complete = complete
        self._completion: CompletionResult[None] | None = None
        self._tokens = 0
        self._begun = self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TokenChunk:
        self._begun = True
        try:
            async for event in self._stream:
                if event.type is StreamEventType.TOKEN:
                    self._tokens += 1
                    return TokenChunk(event.text, token_count=self._tokens)
                if event.type is StreamEventType.DONE:
                    return self._last_chunk()
        except AirframeError as error:
            self._end(error)
            raise llm_error(error, provider=self._provider, model=self._model) from error
        except BaseException:
            self._end(None)
            raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the exchange now."""
        if self._begun:
            self._end(None)
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def result(self) -> CompletionResult[None]:
        """The answer. Raises `RuntimeError` until the stream has been read to its end."""
        if self._completion is None:
            raise RuntimeError("the stream has no result yet: read it to its end first")
        return self._completion

    def _last_chunk(self) -> TokenChunk:
        answer = self._stream.result
        self._end(answer)
        completion = self._completion = self._complete(answer)
        reported = answer.usage.output_tokens
        return TokenChunk(
            "",
            is_final=True,
            token_count=self._tokens if reported is None else reported,
            metadata={
                "model": completion.model,
                "finish_reason": completion.finish_reason,
                "tool_calls": completion.tool_calls,
                "usage": completion.usage,
                "cost": completion.cost,
                "warnings": completion.warnings,
            },
        )

    def _end(self, outcome: InferenceResult | AirframeError | None) -> None:
        if not self._ended:
            self._ended = True
            self._record(outcome)
