"""What the chain promises: the order, what is replaced, and what becomes of failures."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest
from typing_extensions import override

from airframe.types import FinishReason, InferenceRequest, InferenceResult, Message, TextPart
from avionics.errors import LLMServerError, MiddlewareError
from avionics.llm.middleware import (
    AnswerStream,
    AskStream,
    CallContext,
    FailurePolicy,
    Middleware,
    MiddlewareChain,
    Piece,
)
from avionics.llm.middleware.rehearsal import Rehearsal

pytestmark = pytest.mark.anyio

ANSWER = InferenceResult(content=(TextPart("Instead."),), finish_reason=FinishReason.STOP)


class Marked(Middleware):
    """Puts its name around all that passes, and notes what it sees."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    @override
    async def before_invoke(self, call: CallContext, /) -> InferenceRequest:
        self.notes.append(f"{self.name} before")
        text = call.request.messages[-1].text
        return replace(call.request, messages=[Message("user", f"{self.name}({text})")])

    @override
    async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> InferenceResult:
        self.notes.append(f"{self.name} after {call.request.messages[-1].text}")
        return replace(result, content=(TextPart(f"{self.name}({result.text})"),))

    @override
    async def invoke_failed(self, call: CallContext, error: Exception, /) -> None:
        self.notes.append(f"{self.name} failed {type(error).__name__}")


class TestOrder:
    """The first one is outermost."""

    async def test_in_and_out(self, streamed: bool, backend: Rehearsal) -> None:
        """The request goes in from the first to the last, the answer comes out the other way."""
        notes: list[str] = []
        answered = await backend.play(Marked("a", notes), Marked("b", notes), streamed=streamed)
        assert texts(backend) == ["b(a(Why?))"]
        assert answered.result.text == "a(b(Because.))"
        assert notes == ["a before", "b before", "b after a(Why?)", "a after Why?"]

    async def test_nothing_around_is_the_thing_itself(self, streamed: bool, backend: Rehearsal) -> None:
        """Without middleware the chain is false, and changes nothing; nor does one that overrides nothing."""
        assert not MiddlewareChain()
        for middlewares in ([], [Middleware()]):
            answered = await backend.play(*middlewares, streamed=streamed)
            assert (answered.result.text, answered.pieces) == ("Because.", ["Because."] if streamed else ())
        assert texts(backend) == ["Why?"] * 2

    async def test_what_is_remembered_stays_with_the_call(self, streamed: bool, backend: Rehearsal) -> None:
        """Before and after see the same state, other calls another one."""
        seen: list[object] = []

        class Remembers(Middleware):
            @override
            async def before_invoke(self, call: CallContext, /) -> InferenceRequest:
                call.state[self] = len(seen)
                return replace(call.request, max_tokens=5)

            @override
            async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> None:
                seen.append(call.state[self])

        remembers = Remembers()
        await backend.play(remembers, streamed=streamed)
        await backend.play(remembers, streamed=streamed)
        assert seen == [0, 1]


class TestShortCircuit:
    """A middleware may answer itself."""

    async def test_nothing_is_asked(self, streamed: bool, backend: Rehearsal) -> None:
        """The outer ones see its answer, the inner ones nothing."""
        notes: list[str] = []

        class Answers(Middleware):
            @override
            async def before_invoke(self, call: CallContext, /) -> InferenceResult:
                return ANSWER

        answered = await backend.play(Marked("outer", notes), Answers(), Marked("inner", notes), streamed=streamed)
        assert answered.result.text == "outer(Instead.)"
        assert answered.pieces == (["Instead."] if streamed else ())
        assert (backend.asked, notes) == ([], ["outer before", "outer after Why?"])


class TestWrapping:
    """One method stands around the whole call."""

    async def test_a_call_may_be_asked_twice(self, backend: Rehearsal) -> None:
        """And the middleware chooses the answer."""

        class Twice(Middleware):
            @override
            async def __call__(
                self, call: CallContext, ask: Callable[[CallContext], Awaitable[InferenceResult]], /
            ) -> InferenceResult:
                first, second = await ask(call), await ask(call)
                return replace(first, content=(*first.content, *second.content))

        result = await MiddlewareChain([Twice()]).run(a_call(), backend.whole)
        assert result.text == "Because.Because."

    async def test_a_stream_of_ones_own(self, backend: Rehearsal) -> None:
        """It stands between what is inside and what is outside of it."""

        class Loud(Middleware):
            @override
            def stream(self, call: CallContext, ask: AskStream, /) -> AnswerStream:
                return _Loud(ask(call))

        notes: list[str] = []
        answered = await backend.play(Marked("a", notes), Loud(), Marked("b", notes), streamed=True)
        assert (answered.pieces, answered.result.text) == (["BECAUSE."], "a(b(Because.))")


class _Loud:
    def __init__(self, inner: AnswerStream) -> None:
        self._inner = inner

    async def __anext__(self) -> Piece:
        piece = await self._inner.__anext__()
        return piece.upper() if isinstance(piece, str) else piece

    async def aclose(self) -> None:
        await self._inner.aclose()


class Failing(Middleware):
    """Fails where it is told to."""

    def __init__(self, where: str, on_failure: FailurePolicy, error: Exception | None = None) -> None:
        self.on_failure = on_failure
        self._where = where
        self._error = error or ZeroDivisionError("of its own")

    @override
    async def before_invoke(self, call: CallContext, /) -> None:
        self._at("before")

    @override
    async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> None:
        self._at("after")

    @override
    async def invoke_failed(self, call: CallContext, error: Exception, /) -> None:
        self._at("failed")

    def _at(self, where: str) -> None:
        if self._where == where:
            raise self._error


class TestFailures:
    """`on_failure` says what becomes of a call when a middleware fails."""

    @pytest.mark.parametrize("where", ["before", "after"])
    async def test_raise(self, streamed: bool, backend: Rehearsal, where: str) -> None:
        """The caller gets an `LLMError` that names the middleware, with what it raised as its cause."""
        with pytest.raises(MiddlewareError, match="Failing failed: ZeroDivisionError") as raised:
            await backend.play(Failing(where, "raise"), streamed=streamed)
        assert isinstance(raised.value.__cause__, ZeroDivisionError)

    @pytest.mark.parametrize("where", ["before", "after"])
    async def test_skip(self, streamed: bool, backend: Rehearsal, caplog: pytest.LogCaptureFixture, where: str) -> None:
        """The call goes on as if it were not there, is made once, and the failure is logged."""
        notes: list[str] = []
        answered = await backend.play(Failing(where, "skip"), Marked("b", notes), streamed=streamed)
        assert (answered.result.text, texts(backend)) == ("b(Because.)", ["b(Why?)"])
        assert [record.name for record in caplog.records] == ["avionics.llm.middleware.chain"]

    @pytest.mark.parametrize("where", ["before", "after"])
    @pytest.mark.parametrize("policy", ["raise", "skip"])
    async def test_a_decision_is_no_failure(
        self, streamed: bool, backend: Rehearsal, where: str, policy: FailurePolicy
    ) -> None:
        """An `LLMError` of a middleware reaches the caller, whatever the policy."""
        decision = LLMServerError("no more today")
        with pytest.raises(LLMServerError) as raised:
            await backend.play(Failing(where, policy, decision), streamed=streamed)
        assert raised.value is decision

    @pytest.mark.parametrize("error", [LLMServerError("busy"), KeyError("a bug")], ids=repr)
    @pytest.mark.parametrize("policy", ["raise", "skip"])
    async def test_what_the_call_raises_is_its_own(
        self,
        streamed: bool,
        backend: Rehearsal,
        caplog: pytest.LogCaptureFixture,
        error: Exception,
        policy: FailurePolicy,
    ) -> None:
        """It passes through unchanged, is told to everyone from the inside out, and is no failure of theirs."""
        backend.error = error
        notes: list[str] = []
        with pytest.raises(type(error)) as raised:
            await backend.play(Marked("a", notes), Failing("nowhere", policy), Marked("b", notes), streamed=streamed)
        assert raised.value is error
        assert notes[2:] == [f"b failed {type(error).__name__}", f"a failed {type(error).__name__}"]
        assert (len(backend.asked), caplog.records) == (1, [])

    @pytest.mark.parametrize("policy", ["raise", "skip"])
    async def test_a_failure_never_hides_the_error_of_the_call(
        self, streamed: bool, backend: Rehearsal, caplog: pytest.LogCaptureFixture, policy: FailurePolicy
    ) -> None:
        """Who fails while being told of a failure is logged."""
        backend.error = LLMServerError("busy")
        with pytest.raises(LLMServerError) as raised:
            await backend.play(Failing("failed", policy), streamed=streamed)
        assert raised.value is backend.error
        assert len(caplog.records) == 1

    async def test_only_the_first_failure_is_logged(self, backend: Rehearsal, caplog: pytest.LogCaptureFixture) -> None:
        """Of each middleware, by a chain that serves many calls."""
        chain = MiddlewareChain([Failing("after", "skip")])
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                await chain.run(a_call(), backend.whole)
        assert len(caplog.records) == 1


class Transforming(Middleware):
    """Holds back the first piece until the second comes, and fails at the piece `bad`, or at the end."""

    def __init__(self, on_failure: FailurePolicy) -> None:
        self.on_failure = on_failure

    @override
    def stream_transform(self, call: CallContext, /) -> Holding:
        return Holding()


class Holding:
    def __init__(self) -> None:
        self.held = ""

    def feed(self, text: str, /) -> str:
        if text == "bad":
            raise ZeroDivisionError
        told, self.held = self.held, text
        return told.upper()

    def finish(self) -> str:
        if self.held == "worse":
            raise ZeroDivisionError
        return self.held.upper()


class TestStreams:
    """What holds for streams alone."""

    async def test_a_transform_may_hold_back(self, backend: Rehearsal) -> None:
        """What it holds comes at the end."""
        backend.pieces = ("one ", "two ", "three")
        answered = await backend.play(Transforming("raise"), streamed=True)
        assert answered.pieces == ["ONE ", "TWO ", "THREE"]

    @pytest.mark.parametrize(
        ("pieces", "told"),
        [(("one ", "two ", "bad", "x"), ["ONE ", "two bad", "x"]), (("one ", "worse"), ["ONE ", "worse"])],
        ids=str,
    )
    async def test_a_transform_that_fails_owes_nothing(
        self, backend: Rehearsal, pieces: tuple[str, ...], told: list[str]
    ) -> None:
        """When it is skipped, all text that it had taken is told, in order and once."""
        backend.pieces = pieces
        assert (await backend.play(Transforming("skip"), streamed=True)).pieces == told
        with pytest.raises(MiddlewareError):
            await backend.play(Transforming("raise"), streamed=True)

    async def test_what_is_held_is_not_lost_when_after_fails(self, backend: Rehearsal) -> None:
        """A middleware that is skipped at the end gives back what it holds, as it was."""

        class Both(Transforming):
            @override
            async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> None:
                raise ZeroDivisionError

        backend.pieces = ("one ", "two")
        assert (await backend.play(Both("skip"), streamed=True)).pieces == ["ONE ", "two"]

    async def test_nothing_is_asked_before_the_first_piece_is(self, backend: Rehearsal) -> None:
        """A stream that is never read costs nothing."""
        stream = MiddlewareChain([Middleware()]).stream(a_call(), backend.stream)
        assert backend.asked == []
        await stream.aclose()
        assert backend.asked == []

    async def test_leaving_closes_what_is_inside(self, backend: Rehearsal) -> None:
        """And nothing comes any more."""
        backend.pieces = ("one", "two")
        stream = MiddlewareChain([Middleware(), Middleware()]).stream(a_call(), backend.stream)
        assert await stream.__anext__() == "one"
        await stream.aclose()
        assert backend.closed == 1
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    @pytest.mark.parametrize("where", ["before", "after"])
    async def test_a_decision_closes_what_is_inside(self, backend: Rehearsal, where: str) -> None:
        """An outer middleware that stops a stream leaves no call open, and nothing comes any more."""
        stream = MiddlewareChain([Failing(where, "raise"), Middleware()]).stream(a_call(), backend.stream)
        with pytest.raises(MiddlewareError):
            await read_all(stream)
        assert backend.closed == len(backend.asked)
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    async def test_cancellation_passes_through(self, backend: Rehearsal, caplog: pytest.LogCaptureFixture) -> None:
        """It is nobody's failure."""
        notes: list[str] = []

        class Waits(Middleware):
            on_failure: FailurePolicy = "skip"

            @override
            async def before_invoke(self, call: CallContext, /) -> None:
                await anyio.sleep_forever()

        chain = MiddlewareChain([Marked("a", notes), Waits()])
        for ask in (lambda: chain.run(a_call(), backend.whole), chain.stream(a_call(), backend.stream).__anext__):
            asked: Callable[[], Awaitable[Any]] = ask
            with anyio.CancelScope() as scope:
                scope.cancel()
                await asked()
            assert scope.cancelled_caught
        assert (notes, backend.asked, caplog.records) == (["a before", "a before"], [], [])


def a_call(**fields: Any) -> CallContext:
    return CallContext(request=InferenceRequest(messages=[Message("user", "Why?")]), call_id="c1", **fields)


async def read_all(stream: AnswerStream) -> None:
    while True:
        await stream.__anext__()


def texts(backend: Rehearsal) -> list[str]:
    """The questions that came through."""
    return [call.request.messages[-1].text for call in backend.asked]
