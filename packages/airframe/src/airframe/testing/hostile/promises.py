"""What holds for every call and every error, whatever the fault: the checks that a suite makes besides the outcome."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from airframe.errors import MAX_MESSAGE_BYTES, AirframeError, CallTimeoutError, ErrorCategory, LimitExceededError, Phase
from airframe.stream import InferenceStream
from airframe.testing.hostile.fault import Outcome
from airframe.types.events import StreamEvent, StreamEventType
from airframe.types.result import InferenceResult

__all__ = ["Heard", "check_answer", "check_error", "check_outcome", "listen", "struck_too_soon"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a caller heard of a stream: its events, and the error that ended it, if one did."""

    events: Sequence[StreamEvent]
    error: AirframeError | None

    @property
    def text(self) -> str:
        """The text that was delivered."""
        return "".join(event.text for event in self.events if event.type is StreamEventType.TOKEN)

    @property
    def result(self) -> InferenceResult:
        """The assembled answer. Raises `ValueError` unless exactly one came."""
        (result,) = (event.result for event in self.events if event.type is StreamEventType.MESSAGE)
        return result


async def listen(stream: InferenceStream) -> Heard:
    """Read `stream` to its end, or to its error, and check that nothing comes after."""
    events: list[StreamEvent] = []
    error: AirframeError | None = None
    try:
        async for event in stream:
            events.append(event)  # noqa: PERF401 - a comprehension would lose what came before the error
    except AirframeError as raised:
        error = raised
    after = [event async for event in stream]
    assert not after, f"after its end the stream went on with {after}"
    return Heard(events, error)


def struck_too_soon(error: AirframeError | None, expected: Outcome) -> bool:
    """Whether a limit in time ended the call before the server had got to its fault: see `striking`."""
    return isinstance(error, CallTimeoutError) and (error.timeout, error.phase) != (expected.timeout, expected.phase)


def check_outcome(heard: Heard, expected: Outcome, secrets: Sequence[str] = ()) -> None:
    """That a stream came out as expected, ended once, and that nothing of it was lost. Raises `AssertionError`."""
    types = [event.type for event in heard.events]
    ends = [end for end in types if end in {StreamEventType.MESSAGE, StreamEventType.DONE}]
    assert heard.text == expected.text
    if heard.error is None:
        assert expected.error is None, f"an answer came, where {expected} was expected"
        assert ends == [StreamEventType.MESSAGE, StreamEventType.DONE] == types[-2:]
        handed_out = [event.tool_call for event in heard.events if event.type is StreamEventType.TOOL_CALL]
        assert handed_out == list(heard.result.tool_calls)
        check_answer(heard.result, expected)
    else:
        assert not ends, f"the stream ended well before {heard.error!r}"
        assert StreamEventType.TOOL_CALL not in types, "a tool call was handed out though the answer is not whole"
        check_error(heard.error, expected, secrets)
        assert heard.error.committed == bool(heard.events)
        assert (heard.error.partial.text if heard.error.partial else "") == heard.text


def check_answer(result: InferenceResult, expected: Outcome) -> None:
    """That a whole answer is the expected one. Raises `AssertionError`."""
    assert expected.error is None, f"an answer came, where {expected} was expected"
    assert result.text == expected.text
    assert result.finish_reason is expected.finish_reason
    assert tuple((call.name, call.arguments) for call in result.tool_calls) == expected.tool_calls
    assert all(call.complete for call in result.tool_calls)
    assert len({call.id for call in result.tool_calls}) == len(result.tool_calls), "ids of calls are not unique"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (expected.tokens, expected.tokens)
    assert bool(result.warnings) == expected.warned
    assert result.attempts[-1].category is None


def check_error(error: AirframeError, expected: Outcome, secrets: Sequence[str] = ()) -> None:
    """That an error is the expected one, and keeps what every error promises. Raises `AssertionError`."""
    assert type(error) is expected.error, f"{error!r} came, where {expected} was expected"
    assert (error.category, error.phase) == (expected.category, expected.phase), repr(error)
    if isinstance(error, CallTimeoutError):
        assert error.timeout == expected.timeout, repr(error)
    if isinstance(error, LimitExceededError):
        assert error.limit == expected.limit, repr(error)
    assert isinstance(error.category, ErrorCategory)
    assert isinstance(error.phase, Phase)
    assert error.endpoint
    assert error.attempts
    assert error.attempts[-1].category is error.category
    assert 0 < len(str(error).encode()) <= MAX_MESSAGE_BYTES
    assert error.partial is None or error.partial.finish_reason is None
    pickled = pickle.dumps(error)
    copy = pickle.loads(pickled)  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    for form in _forms(secrets):
        for shown in _shown(error):
            assert form not in shown, "a secret shows in an error"
        assert form.encode() not in pickled, "a secret shows in a pickled error"


def _shown(error: BaseException | None) -> Iterator[str]:
    """What is printed of an error, and of the errors that led to it."""
    seen: list[BaseException] = []  # the chain may be a ring
    while error is not None and error not in seen:
        seen.append(error)
        yield f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _forms(secrets: Sequence[str]) -> Iterator[str]:
    for secret in secrets:
        yield secret
        yield quote(secret, safe="")
        yield base64.b64encode(secret.encode()).decode().rstrip("=")
