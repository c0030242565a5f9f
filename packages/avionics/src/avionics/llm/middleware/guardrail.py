"""A rule that questions or answers have to keep to."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from typing_extensions import override

from airframe.types import InferenceResult
from avionics.errors import GuardrailError
from avionics.llm.middleware.call_context import CallContext
from avionics.llm.middleware.middleware import FailurePolicy, Middleware, TextTransform
from avionics.llm.requests import message_text

__all__ = ["Guardrail", "Objection"]

Objection: TypeAlias = Callable[[str], "str | Awaitable[str | None] | None"]
"""Says what it has against a text, or None. May be a coroutine function."""


class Guardrail(Middleware):
    """Raises `GuardrailError` for a request before it is sent, or for an answer before the caller sees it.

    Texts are those of all messages, or of the answer with its thoughts and the arguments of its tool calls.

    Args:
        name: what errors call it.
        request: asked about what is said to the model; None lets everything pass.
        answer: asked about what the model says.
        hold: whether a stream is held back until its answer has passed. False tells it as it comes, and raises at the
            end.
        on_failure: `raise` lets nothing pass while the rule itself fails; `skip` lets everything pass.
    """

    def __init__(
        self,
        name: str,
        *,
        request: Objection | None = None,
        answer: Objection | None = None,
        hold: bool = True,
        on_failure: FailurePolicy = "raise",
    ) -> None:
        self.name = name
        self.on_failure = on_failure
        self._request = request
        self._answer = answer
        self._hold = hold

    @override
    async def before_invoke(self, call: CallContext, /) -> None:
        if self._request is not None:
            text = "\n".join(map(message_text, call.request.messages))
            await self._check(self._request, text, "request")

    @override
    async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> None:
        if self._answer is not None:
            await self._check(self._answer, message_text(result.message), "answer")

    @override
    def stream_transform(self, call: CallContext, /) -> TextTransform | None:
        return _HeldBack() if self._answer is not None and self._hold else None

    async def _check(self, objection: Objection, text: str, side: Literal["request", "answer"]) -> None:
        said = objection(text)
        reason = await said if inspect.isawaitable(said) else said
        if reason is not None:
            raise GuardrailError(f"{self.name} objects to the {side}: {reason}", guardrail=self.name, side=side)


class _HeldBack:
    """All text, at the end."""

    def __init__(self) -> None:
        self._pieces: list[str] = []

    @property
    def held(self) -> str:
        return "".join(self._pieces)

    def feed(self, text: str, /) -> str:
        self._pieces.append(text)
        return ""

    def finish(self) -> str:
        return self.held
