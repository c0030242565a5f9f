"""What looks into a chat's calls: functions before and after each, or all of it as an extension."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeAlias

from typing_extensions import override

from airframe.types import InferenceRequest, Usage
from avionics.errors import LLMError
from avionics.llm.completion_result import CompletionResult, added_usage

__all__ = ["AfterInvoke", "BeforeInvoke", "ChatExtension", "FunctionExtension", "TokenUsage"]

BeforeInvoke: TypeAlias = Callable[[InferenceRequest], InferenceRequest | Awaitable[InferenceRequest | None] | None]
"""Sees a request before it is made, and may give another one in its place. What it raises stops the call."""

AfterInvoke: TypeAlias = Callable[[CompletionResult[None]], object]
"""Sees an answer. May be a coroutine function; what it raises is logged, and the answer is handed out all the same."""


class ChatExtension:
    """Looks into every call of a chat. Override what is of interest."""

    async def before_invoke(self, request: InferenceRequest) -> InferenceRequest:
        """The request to make in place of this one. What is raised stops the call: nothing is sent."""
        return request

    async def after_invoke(self, result: CompletionResult[None], /) -> None:
        """An answer came. What is raised is logged and goes no further."""

    async def invoke_failed(self, error: LLMError, /) -> None:
        """No whole answer came. What is raised is logged and goes no further."""


class FunctionExtension(ChatExtension):
    """One function before each call, or after it."""

    def __init__(self, *, before: BeforeInvoke | None = None, after: AfterInvoke | None = None) -> None:
        self._before = before
        self._after = after

    @override
    async def before_invoke(self, request: InferenceRequest) -> InferenceRequest:
        if self._before is None:
            return request
        changed = self._before(request)
        return (await changed if inspect.isawaitable(changed) else changed) or request

    @override
    async def after_invoke(self, result: CompletionResult[None], /) -> None:
        if self._after is not None:
            done = self._after(result)
            if inspect.isawaitable(done):
                await done


class TokenUsage(ChatExtension):
    """Counts what a chat used. Every chat has one.

    Attributes:
        calls: answers and failures.
        usage: the tokens of all calls, as far as the backends told them.
        cost_usd: the sum of the known costs.
        calls_without_cost: how many answers had an unknown one.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.usage = Usage()
        self.cost_usd = Decimal(0)
        self.calls_without_cost = 0

    @override
    async def after_invoke(self, result: CompletionResult[None], /) -> None:
        self.calls += 1
        self.usage = added_usage(self.usage, result.usage)
        self.cost_usd += result.cost or 0
        self.calls_without_cost += result.cost is None

    @override
    async def invoke_failed(self, error: LLMError, /) -> None:
        self.calls += 1
        if error.partial is not None:
            self.usage = added_usage(self.usage, error.partial.usage)
