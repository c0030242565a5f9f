"""What a call had tried is known however it ends, also when its caller is cancelled or leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

import anyio
import anyio.lowlevel
import pytest
from typing_extensions import override

from airframe.adapters import HttpAdapter
from airframe.cancellation import attempts_of
from airframe.endpoints import EndpointSpec
from airframe.errors import BackendError, ErrorCategory
from airframe.retry import RetryPolicy
from airframe.testing.hostile import Connection, HostileServer, Script, Traffic, Turn, head
from airframe.testing.hostile.traffic import encoded
from airframe.types import Attempt, InferenceRequest, Message

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["openai", "openai_over_httpx"], indirect=True),
]

MakeAdapter = Callable[..., HttpAdapter]
EndpointAt = Callable[..., EndpointSpec]
BUSY = encoded({"error": {"message": "busy"}})
FAR_AWAY = 3600.0


@pytest.fixture
def asked() -> list[int]:
    """The requests that the server of this module has seen."""
    return []


@pytest.fixture
def busy_then_silent(traffic: Traffic, asked: list[int]) -> Script:
    """A server that refuses the first request and never answers the second."""

    def script(connection: Connection) -> None:
        asked.append(connection.number)
        turn = Turn(connection, traffic, traffic.is_stream(connection.request))
        if len(asked) == 1:
            turn.send(head(503, content_length=len(BUSY)) + BUSY)
        else:
            connection.stall()

    return script


async def cancelled(call: Callable[[], Awaitable[object]], *, when: Callable[[], bool]) -> tuple[Attempt, ...]:
    """What is noted of `call`, which is cancelled as soon as `when` holds."""
    tried: list[Attempt] = []

    async def run() -> None:
        try:
            await call()
        except BaseException as error:
            tried.extend(attempts_of(error))
            raise

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        while not when():
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    return tuple(tried)


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
async def test_a_cancelled_call_tells_its_attempts(
    streamed: bool,
    busy_then_silent: Script,
    asked: list[int],
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
) -> None:
    """The retry that came before is there, and the attempt that was cancelled is marked as such."""
    with HostileServer(busy_then_silent) as server:
        async with make_adapter(retry=RetryPolicy(max_retries=1, backoff=0.0)) as adapter:
            endpoint = endpoint_at(server.base_url)
            stream = adapter.stream_infer(endpoint, question)
            call = (lambda: anext(stream)) if streamed else (lambda: adapter.infer(endpoint, question))
            refused, last = await cancelled(call, when=lambda: len(asked) == 2)
    assert (refused.number, refused.category, refused.status) == (1, ErrorCategory.OVERLOADED, 503)
    assert (last.number, last.category, last.status) == (2, ErrorCategory.CANCELLED, None)
    assert refused.started_at <= last.started_at


class Patience(RetryPolicy):
    """Waits for ever, and says when it begins to."""

    waiting: ClassVar[list[float]] = []

    @override
    def wait(self, *_error: object, **_progress: object) -> float:
        self.waiting.append(FAR_AWAY)
        return FAR_AWAY


async def test_a_call_that_is_cancelled_between_attempts_tells_them(
    busy_then_silent: Script,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
) -> None:
    """While it waits to ask again there is no attempt that could be cancelled."""
    Patience.waiting.clear()
    with HostileServer(busy_then_silent) as server:
        async with make_adapter(retry=Patience(max_retries=1)) as adapter:
            endpoint = endpoint_at(server.base_url)
            (refused,) = await cancelled(lambda: adapter.infer(endpoint, question), when=lambda: bool(Patience.waiting))
    assert (refused.category, refused.status) == (ErrorCategory.OVERLOADED, 503)


async def test_a_stream_that_is_left_tells_its_attempts(
    by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> None:
    """What came of a stream says when its first event came, for whoever leaves it there."""
    with HostileServer(by_prompt) as server:
        async with (
            make_adapter() as adapter,
            adapter.stream_infer(
                endpoint_at(server.base_url), InferenceRequest(messages=[Message("user", "stall")], model="m-1")
            ) as stream,
        ):
            await anext(stream)
            (attempt,) = stream.partial.attempts
    assert (attempt.number, attempt.category, attempt.status) == (1, None, 200)
    assert attempt.time_to_first_event is not None
    assert attempt.duration >= attempt.time_to_first_event


def test_other_errors_tell_their_own_attempts(backend: str) -> None:
    """One question for every end of a call: an error of airframe has its attempts, a stranger has none."""
    attempt = Attempt(number=1, started_at=1.0, duration=1.0)
    error = BackendError("no")
    error.attempts = [attempt]
    assert list(attempts_of(error)) == [attempt]
    assert list(attempts_of(KeyboardInterrupt())) == []
