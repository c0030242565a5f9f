"""The scripted adapter keeps the promises of a real one."""

from __future__ import annotations

import gc
from itertools import repeat

import anyio
import pytest

from airframe.endpoints import EndpointSpec
from airframe.errors import BackendError, CallTimeoutError, ConnectionFailedError, ErrorCategory
from airframe.testing import Answer, Clock, Failure, Script, ScriptedAdapter
from airframe.testing.mutators import split_utf8
from airframe.types import FinishReason, InferenceRequest, Message, StreamEventType, ToolCall, Usage

pytestmark = pytest.mark.anyio

ENDPOINT = EndpointSpec(base_url="http://127.0.0.1:1")
REQUEST = InferenceRequest(messages=[Message("user", "Why?")], model="small")


async def test_a_stream_says_the_chunks_and_ends_with_the_whole_answer() -> None:
    """An answer is streamed as backends do it: reasoning, text, tool calls, the assembled message, the end."""
    call = ToolCall(id="1", name="look", arguments='{"up":true}')
    adapter = ScriptedAdapter(
        [Answer(chunks=["The ", "sky"], reasoning="Hm.", tool_calls=[call], usage=Usage(input_tokens=3), model="big")]
    )
    stream = adapter.stream_infer(ENDPOINT, REQUEST)
    types = [event.type async for event in stream]
    assert types == [
        StreamEventType.REASONING,
        StreamEventType.TOKEN,
        StreamEventType.TOKEN,
        StreamEventType.TOOL_CALL_DELTA,
        StreamEventType.TOOL_CALL,
        StreamEventType.MESSAGE,
        StreamEventType.DONE,
    ]
    result = stream.result
    assert (result.text, result.reasoning, result.tool_calls, result.model) == ("The sky", "Hm.", (call,), "big")
    assert result.finish_reason is FinishReason.TOOL_CALLS
    assert result.usage == Usage(input_tokens=3)
    assert adapter.open_streams == 0


async def test_infer_gives_the_same_answer_and_both_ways_share_one_script() -> None:
    """Steps are taken in order, whichever way the question is asked, and every question is kept."""
    adapter = ScriptedAdapter([Answer(text="one"), Answer(text="two"), lambda request: Answer(text=str(request.model))])
    assert (await adapter.infer(ENDPOINT, REQUEST)).text == "one"
    stream = adapter.stream_infer(ENDPOINT, REQUEST)
    assert [event.text async for event in stream if event.type is StreamEventType.TOKEN] == ["two"]
    assert (await adapter.infer(ENDPOINT, REQUEST)).text == "small"
    assert adapter.calls == [(ENDPOINT, REQUEST)] * 3


async def test_an_error_after_output_is_committed_and_holds_what_was_said() -> None:
    """A failure after delivered output may not be retried, and loses nothing."""
    adapter = ScriptedAdapter([Failure(ErrorCategory.SERVER, chunks=["The ", "sky"], usage=Usage(input_tokens=3))])
    heard: list[str] = []

    async def listen() -> None:
        async for event in adapter.stream_infer(ENDPOINT, REQUEST):
            assert event.type is StreamEventType.TOKEN
            heard.append(event.text)

    with pytest.raises(BackendError) as caught:
        await listen()
    error = caught.value
    assert heard == ["The ", "sky"]
    assert error.committed
    assert not error.safe_to_retry
    assert error.partial is not None
    assert (error.partial.text, error.partial.usage.input_tokens, error.partial.finish_reason) == ("The sky", 3, None)
    assert [attempt.category for attempt in error.attempts] == [ErrorCategory.SERVER]


async def test_an_error_before_output_and_an_error_of_a_whole_answer_are_not_committed() -> None:
    """What never reached the caller may be asked for again."""
    given = ConnectionFailedError("refused")
    adapter = ScriptedAdapter([Failure(given), Failure(ErrorCategory.SERVER, chunks=["The "])])
    with pytest.raises(ConnectionFailedError, match="refused") as refused:
        await anext(adapter.stream_infer(ENDPOINT, REQUEST))
    assert refused.value.safe_to_retry
    assert given.attempts == (), "the script's own error stays as it was given"
    with pytest.raises(BackendError) as broken:
        await adapter.infer(ENDPOINT, REQUEST)
    assert broken.value.safe_to_retry


async def test_an_exhausted_script_says_so() -> None:
    """A call too many is an error that names the call, not a repetition."""
    adapter = ScriptedAdapter([Answer(text="one")])
    await adapter.infer(ENDPOINT, REQUEST)
    with pytest.raises(RuntimeError, match="no step for call 2"):
        await adapter.infer(ENDPOINT, REQUEST)


async def test_a_stream_that_is_left_is_let_go() -> None:
    """Closing, cancellation and forgetting each give the stream back."""
    adapter = ScriptedAdapter([Answer(chunks=["a", "b", "c"])] * 3)
    async with adapter.stream_infer(ENDPOINT, REQUEST) as closed:
        await anext(closed)
        assert adapter.open_streams == 1
    assert adapter.open_streams == 0
    cancelled = adapter.stream_infer(ENDPOINT, REQUEST)
    with anyio.CancelScope() as scope:
        await anext(cancelled)
        scope.cancel()
        await anext(cancelled)
    assert adapter.open_streams == 0
    forgotten = adapter.stream_infer(ENDPOINT, REQUEST)
    await anext(forgotten)
    del forgotten
    gc.collect()
    assert adapter.open_streams == 0


async def test_a_stream_that_is_closed_while_it_waits_says_no_more() -> None:
    """Another task may close the stream in the middle of a delay; then it is over, without an answer."""
    clock = Clock()
    adapter = ScriptedAdapter([Answer(text="late", delay=5)], clock=clock)
    stream = adapter.stream_infer(ENDPOINT, REQUEST)
    heard: list[object] = []

    async def listen() -> None:
        heard.extend([event async for event in stream])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await clock.advance(1)
        await stream.aclose()
        await clock.advance(4)
    assert (heard, adapter.open_streams) == ([], 0)


async def test_time_passes_on_the_clock_and_nowhere_else() -> None:
    """Delays hold the stream until the test lets the time pass, piece by piece."""
    clock = Clock()
    adapter = ScriptedAdapter([Answer(chunks=["The ", "sky"], delay=30, pause=2)], clock=clock)
    heard: list[str] = []

    async def listen() -> None:
        async for event in adapter.stream_infer(ENDPOINT, REQUEST):
            heard.extend([event.text if event.type is StreamEventType.TOKEN else event.type])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await clock.advance(29.5)
        assert heard == []
        await clock.advance(0.5)
        assert heard == ["The "]
        await clock.advance(3)
        assert heard == ["The ", "sky"]
        await clock.advance(1)
    assert heard == ["The ", "sky", "message", "done"]
    assert clock.now == 34


async def test_without_a_clock_delays_take_no_time_and_stand_in_the_record() -> None:
    """The attempt says how long the answer would have taken."""
    adapter = ScriptedAdapter([Answer(chunks=["The ", "sky"], delay=3600, pause=1)])
    (attempt,) = (await adapter.infer(ENDPOINT, REQUEST)).attempts
    assert (attempt.duration, attempt.time_to_first_event) == (3602, 3600)


async def test_fails_twice_then_answers_within_one_call() -> None:
    """With retries the call goes on to the next step, waits as an adapter does, and lists every attempt."""
    failures = [Failure(ErrorCategory.OVERLOADED, retry_after=7), Failure(ErrorCategory.CONNECTION)]
    adapter = ScriptedAdapter([*failures, Answer(text="Here.")], max_retries=2)
    result = await adapter.infer(ENDPOINT, REQUEST)
    assert result.text == "Here."
    assert [attempt.category for attempt in result.attempts] == [
        ErrorCategory.OVERLOADED,
        ErrorCategory.CONNECTION,
        None,
    ]
    assert [attempt.number for attempt in result.attempts] == [1, 2, 3]
    assert result.attempts[1].waited >= 7
    assert adapter.clock.now >= 7
    assert len(adapter.calls) == 1


async def test_no_retry_after_output_and_none_beyond_the_limit() -> None:
    """What was said is not said twice, and the last failure is raised with all attempts."""
    said = Failure(ErrorCategory.SERVER, chunks=["The "])
    adapter = ScriptedAdapter([said, *[Failure(ErrorCategory.SERVER)] * 3], max_retries=2)
    stream = adapter.stream_infer(ENDPOINT, REQUEST)
    await anext(stream)
    with pytest.raises(BackendError) as committed:
        await anext(stream)
    assert len(committed.value.attempts) == 1
    with pytest.raises(BackendError) as exhausted:
        await adapter.infer(ENDPOINT, REQUEST)
    assert len(exhausted.value.attempts) == 3
    assert adapter.open_streams == 0


@pytest.mark.parametrize(
    ("failure", "kind", "status"),
    [
        (Failure(ErrorCategory.RATE_LIMIT), BackendError, 429),
        (Failure(ErrorCategory.AUTH, status=403, message="no"), BackendError, 403),
        (Failure(ErrorCategory.SERVER, chunks=["The "]), BackendError, 200),
        (Failure(ErrorCategory.CONNECTION), ConnectionFailedError, None),
        (Failure(ErrorCategory.TIMEOUT), CallTimeoutError, None),
    ],
)
async def test_a_category_stands_for_the_error_that_usually_has_it(
    failure: Failure, kind: type[Exception], status: int | None
) -> None:
    """Class, category and status agree as they do for real backends."""
    adapter = ScriptedAdapter([failure])
    with pytest.raises(kind) as caught:
        await adapter.infer(ENDPOINT, REQUEST)
    error = caught.value
    assert (type(error), getattr(error, "status", "")) == (kind, status)
    assert getattr(error, "category", None) is failure.error


async def test_a_script_that_is_not_played_to_its_end_says_what_is_left() -> None:
    """Leaving the context asks for the whole script; an error of the test's own is not hidden by it."""
    with pytest.raises(AssertionError, match=r"2 of 3 steps are left, the first of them an Answer that says 'two'"):
        async with ScriptedAdapter(["one", Answer(text="two"), "three"]) as adapter:
            await adapter.infer(ENDPOINT, REQUEST)
    with pytest.raises(KeyError):
        async with ScriptedAdapter(["one"]):
            raise KeyError
    async with ScriptedAdapter(["one"]) as adapter:
        await adapter.infer(ENDPOINT, REQUEST)


async def test_scripts_without_an_end_are_never_left_unplayed() -> None:
    """Repeating scripts and functions for every call answer for ever."""

    def name_model(request: InferenceRequest) -> str:
        return f"{request.model}"

    scripts: list[Script] = [Script(["a", "b"], repeats=True), Script(repeat(name_model))]
    for script in scripts:
        async with ScriptedAdapter(script) as adapter:
            said = [(await adapter.infer(ENDPOINT, REQUEST)).text for _ in range(5)]
        assert said in (["a", "b", "a", "b", "a"], ["small"] * 5)
        assert adapter.requests == [REQUEST] * 5


async def test_wrong_scripts_are_refused_at_once() -> None:
    """A mistake in a script is told where it is made."""
    with pytest.raises(TypeError, match="put it in brackets"):
        ScriptedAdapter("The sky")
    with pytest.raises(ValueError, match="text or chunks"):
        Answer(text="a", chunks=["a"])
    with pytest.raises(TypeError, match=r"Answer\.chunks must be a list"):
        Answer(chunks="The sky")
    with pytest.raises(ValueError, match=r"Failure\.delay must be 0 or more seconds"):
        Failure(ErrorCategory.SERVER, delay=-1)
    with pytest.raises(ValueError, match="beside a category"):
        Failure(ConnectionFailedError("gone"), status=500)
    adapter = ScriptedAdapter([Answer(text="a", faults=split_utf8())])
    with pytest.raises(ValueError, match=r"split_utf8\(\).*happen to bytes"):
        await adapter.infer(ENDPOINT, REQUEST)
