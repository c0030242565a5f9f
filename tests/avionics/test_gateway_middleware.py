"""Middleware stands around calls, whole and streamed, and the records show what was really asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeAlias

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.types import FinishReason, InferenceRequest, InferenceResult, Message, TextPart, Usage
from avionics.errors import LLMError, LLMServerError
from avionics.llm import LLMResponse
from avionics.llm.middleware import CallContext, Middleware, RedactPII
from avionics.llm.middleware.middleware import Ask as AskNext
from avionics.settings import Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[LLMResponse]]

USAGE = Usage(input_tokens=1000, output_tokens=10)


def gateway_of(middleware: Sequence[Middleware], *script: Step) -> ScriptedGateway:
    return ScriptedGateway(settings=Settings(llm_provider="openai"), middleware=middleware, openai=list(script))


class Shout(Middleware):
    """Adds a word to the prompt, and another one to the answer."""

    def __init__(self, word: str) -> None:
        self.word = word

    async def before_invoke(self, call: CallContext, /) -> InferenceRequest:
        last = Message("user", f"{call.request.messages[-1].text} {self.word}")
        return replace(call.request, messages=[*call.request.messages[:-1], last])

    async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> InferenceResult | None:
        return None if call.streamed else replace(result, content=[TextPart(f"{result.text} {self.word}")])


class Known(Middleware):
    """Answers itself."""

    async def before_invoke(self, call: CallContext, /) -> InferenceResult:
        return InferenceResult(content=[TextPart("known")], finish_reason=FinishReason.STOP)


class Twice(Middleware):
    """Asks once more when the first answer fails."""

    async def __call__(self, call: CallContext, ask: AskNext, /) -> InferenceResult:
        try:
            return await ask(call)
        except LLMServerError:
            return await ask(call)


async def test_the_first_is_outermost() -> None:
    """It sees the caller's words first, and the answer last."""
    gateway = gateway_of([Shout("a"), Shout("b")], Answer(text="Hi", usage=USAGE))
    response = await gateway.complete("Why?")
    assert gateway.asked("openai")[0].messages == [Message("user", "Why? a b")]
    assert response.text == "Hi b a"
    assert response.prompt_tokens == 1000
    assert gateway.recorder.started[0].request.messages == [Message("user", "Why? a b")]
    assert gateway.recorder.end.outcome == "success"


async def test_a_stream_goes_through_the_same_middleware(ask: Ask) -> None:
    """Names and numbers do not leave, and are put back into the answer, also where a piece ends inside of one."""
    gateway = gateway_of(
        [RedactPII()],
        lambda request: Answer(chunks=list(f"Write to {request.messages[-1].text.split()[-1]}")),
    )
    response = await ask(gateway, "My address is ada@example.org")
    assert "ada@example.org" not in gateway.asked("openai")[0].messages[-1].text
    assert "ada@example.org" not in repr(gateway.recorder.started)
    assert response.text == "Write to ada@example.org"


async def test_an_answer_of_the_middleware_asks_nobody(ask: Ask) -> None:
    """It costs nothing."""
    gateway = gateway_of([Known()])
    response = await ask(gateway)
    assert (response.text, response.provider, response.cost_usd) == ("known", "middleware", Decimal(0))
    assert gateway.recorder.started == []


async def test_asking_again_is_another_call_on_record() -> None:
    """Each with its own end."""
    gateway = gateway_of([Twice()], Failure(ErrorCategory.SERVER), Answer(text="a"))
    assert (await gateway.complete("Why?")).text == "a"
    assert [end.outcome for end in gateway.recorder.finished] == ["error", "success"]
    first, second = gateway.recorder.started
    assert first.call_id != second.call_id


async def test_failures_come_out_as_they_are(ask: Ask) -> None:
    """With partial answer and cost."""
    gateway = gateway_of([RedactPII()], Failure(ErrorCategory.SERVER))
    with pytest.raises(LLMError) as caught:
        await ask(gateway)
    assert caught.value.category == ErrorCategory.SERVER
    assert gateway.recorder.end.outcome == "error"


async def test_a_stream_that_is_left_ends_its_call() -> None:
    """The backend sees the disconnect."""
    gateway = gateway_of([RedactPII()], Answer(chunks=["a ", "b ", "c "]))
    async with gateway.complete_stream("Why?") as stream:
        await anext(stream)
    assert gateway.recorder.end.outcome == "abandoned"
    assert gateway.scripted["openai"].script.open_streams == 0


class Stuck(Middleware):
    """Never comes to an end before or after the answer."""

    def __init__(self, where: str) -> None:
        self.where = where

    async def before_invoke(self, call: CallContext, /) -> None:
        if self.where == "before":
            await anyio.sleep_forever()

    async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> None:
        if self.where == "after":
            await anyio.sleep_forever()


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_call_that_is_cancelled_inside_of_a_middleware_has_one_end(ask: Ask, where: str) -> None:
    """Nothing stays open."""
    gateway = gateway_of([Stuck(where)], Answer(chunks=["a", "b"]))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def call() -> None:
                await ask(gateway)

            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert len(gateway.recorder.finished) == len(gateway.recorder.started) == (where == "after")
    assert gateway.scripted["openai"].script.open_streams == 0
