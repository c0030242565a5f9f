"""Those who make many calls: a few workers that take one request after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TypeAlias, cast

import anyio

from avionics.llm.batch.call_request import CallRequest, Request, call_request
from avionics.llm.batch.results import BatchResult, ProgressTally
from avionics.llm.batch.shelf import Shelf
from avionics.llm.responses import LLMResponse

__all__ = ["Ask", "Crew", "Requests"]

Ask: TypeAlias = Callable[[CallRequest], Awaitable[LLMResponse]]
"""Makes one call."""

Requests: TypeAlias = Iterable[Request] | AsyncIterable[Request]

_AHEAD = 2
"""So many requests for each worker are taken before their results were read: one under way, one that waits."""


class Crew:
    """Workers, and the results that they put on a shelf. `run` is to be called once, `next` by one reader."""

    def __init__(self, ask: Ask, requests: Requests, *, concurrency: int, ordered: bool, tally: ProgressTally) -> None:
        self._ask = ask
        self._source = _Source(requests)
        self._concurrency = concurrency
        self._tally = tally
        self._shelf = Shelf(ordered=ordered)
        self._room = anyio.Semaphore(concurrency * _AHEAD)
        self._news = anyio.Event()
        self._over = False

    async def run(self) -> None:
        """Work until all requests are answered."""
        try:
            async with anyio.create_task_group() as workers:
                for _ in range(self._concurrency):
                    workers.start_soon(self._work)
        finally:
            self._over = True
            self._news.set()
            await self._source.aclose()

    async def next(self) -> BatchResult | None:
        """The next result; None after the last one. Raises what the iterator of requests raised, after the results."""
        while (result := self._shelf.take()) is None:
            if self._over:
                self._source.raise_fault()
                return None
            await self._news.wait()
            self._news = anyio.Event()
        self._room.release()
        return result

    async def _work(self) -> None:
        while True:
            await self._room.acquire()
            taken = await self._source.take()
            if taken is None:
                return
            result = await self._result(*taken)
            self._shelf.put(result)
            self._tally.count(result)
            self._news.set()

    async def _result(self, index: int, given: object) -> BatchResult:
        id: str | None = None
        try:
            request = call_request(given)
            id = request.id
            return BatchResult(index=index, id=id, response=await self._ask(request))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other calls go on
            return BatchResult(index=index, id=id, error=error)


class _Source:
    """Numbers the requests and gives each to one worker."""

    def __init__(self, requests: Requests) -> None:
        self._requests: Iterator[Request] | AsyncIterator[Request] = (
            aiter(requests) if isinstance(requests, AsyncIterable) else iter(requests)
        )
        self._turn = anyio.Lock()
        self._taken = 0
        self._fault: Exception | None = None
        self._over = False

    async def take(self) -> tuple[int, Request] | None:
        """A request and its number; None when there is no more."""
        async with self._turn:
            if self._over:
                return None
            try:
                request = await self._next()
            except StopAsyncIteration:
                self._over = True
                return None
            except Exception as error:  # noqa: BLE001 - the reader gets it, after the results
                self._over, self._fault = True, error
                return None
            self._taken += 1
            return self._taken - 1, request

    def raise_fault(self) -> None:
        """Raises what ended the requests before their time, once."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    async def aclose(self) -> None:
        """End an async generator that was not read to its end; nobody else would."""
        if isinstance(self._requests, AsyncGenerator):
            with anyio.CancelScope(shield=True):
                await cast("AsyncGenerator[Request, None]", self._requests).aclose()

    async def _next(self) -> Request:
        if isinstance(self._requests, AsyncIterator):
            return await anext(self._requests)
        return _ask_iterator(self._requests)


def _ask_iterator(requests: Iterator[Request]) -> Request:
    """The next one. A coroutine cannot raise `StopIteration`, so the end has the name of the other iterators."""
    for request in requests:
        return request
    raise StopAsyncIteration
