"""Many calls at once, as the gateway's caller holds them."""

from __future__ import annotations

from collections.abc import Sized
from types import TracebackType
from typing import Self

import anyio.lowlevel

from avionics.llm.background_task import BackgroundTask
from avionics.llm.batch.crew import Ask, Crew, Requests
from avionics.llm.batch.results import BatchProgress, BatchResult, ProgressCallback, ProgressTally

__all__ = ["CallMap"]


class CallMap:
    """The results of many calls: an async iterator of `BatchResult`, and a context manager that ends the calls.

    ```python
    async with gateway.map(["Why?", {"prompt": "Why not?", "temperature": 0}], concurrency=4) as results:
        async for result in results:
            print(result.index, result.response.text if result.response else result.error)
    ```

    Nothing is sent before the first result is asked for. Requests are taken as results are read: at most twice
    `concurrency` are ahead of the reader, so there may be any number of them. A call that fails is a result like any
    other; an error of the iterator that gives the requests is raised, after the results of those that it gave.

    The calls end with the context, and when waiting for a result is cancelled. A plain `async for` works too; leaving
    it early is noticed when the object is collected, so prefer the context manager.
    """

    def __init__(
        self,
        ask: Ask,
        requests: Requests,
        *,
        concurrency: int,
        ordered: bool,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {concurrency}")
        if isinstance(requests, str):
            raise TypeError("requests must be an iterable of requests, got str; wrap it in a list")
        self._ask = ask
        self._requests = requests
        self._concurrency = concurrency
        self._ordered = ordered
        self._tally = ProgressTally(len(requests) if isinstance(requests, Sized) else None, on_progress)
        self._crew: Crew | None = None
        self._task: BackgroundTask | None = None
        self._over = False

    @property
    def progress(self) -> BatchProgress:
        """How far the calls are."""
        return self._tally.progress()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchResult:
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
            result = None if self._over else await self._started().next()
        except BaseException:
            await self.aclose()
            raise
        if result is None:
            await self.aclose()
            raise StopAsyncIteration
        return result

    async def aclose(self) -> None:
        """End the calls that are under way; no more are made."""
        self._over = True
        if self._task is not None:
            await self._task.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        task: BackgroundTask | None = getattr(self, "_task", None)
        if task is not None and not self._over:
            task.cancel()

    def _started(self) -> Crew:
        if self._crew is None:
            self._crew = Crew(
                self._ask, self._requests, concurrency=self._concurrency, ordered=self._ordered, tally=self._tally
            )
            self._task = BackgroundTask(self._crew.run)
        return self._crew
