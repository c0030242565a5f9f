"""However a caller leaves a call, its connection is let go, the server sees it, and the next call works."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import trio

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError, ConnectionFailedError
from airframe.stream import InferenceStream
from airframe.testing.hostile import (
    BEGINNING,
    PATIENT,
    PIECES,
    TEXT,
    TRAFFIC,
    Connection,
    HostileServer,
    Script,
    Turn,
    chunk,
)
from airframe.testing.hostile.promises import listen
from airframe.types import InferenceRequest, Message, StreamEventType

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["openai", "openai_over_httpx"], indirect=True),
]

MakeAdapter = Callable[..., HttpAdapter]
EndpointAt = Callable[..., EndpointSpec]
CHAT = TRAFFIC["chat"]
FAR_AWAY = 3600.0
STREAMED = pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])


def ask(prompt: str) -> InferenceRequest:
    return InferenceRequest(messages=[Message("user", prompt)], model="m-1")


@asynccontextmanager
async def pool_of_two(
    by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> AsyncGenerator[tuple[HostileServer, HttpAdapter, EndpointSpec]]:
    """A server, and an adapter with two connections to it, which are whole again at the end: two calls fit at once."""
    with HostileServer(by_prompt) as server:
        endpoint = endpoint_at(server.base_url, max_connections=2)
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            yield server, adapter, endpoint
            await server.until(busy=0)
            async with adapter.stream_infer(endpoint, ask("stall")) as first:
                await anext(first)
                async with adapter.stream_infer(endpoint, ask("stall")) as second:
                    await anext(second)
            assert (await adapter.infer(endpoint, ask("hello"))).text == TEXT
        await server.until(open_connections=0)


async def first_text(stream: InferenceStream) -> str:
    event = await anext(stream)
    assert event.type is StreamEventType.TOKEN
    return event.text


async def test_streams_left_by_break(by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """Six streams left by `break`, without a context manager, take nothing with them."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        for _ in range(6):
            async for event in adapter.stream_infer(endpoint, ask("stall")):
                assert event.type is StreamEventType.TOKEN
                break
        await server.until(disconnects=6)


async def test_streams_left_by_aclose(by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """Six streams that are closed early, twice each, take nothing with them and say nothing more."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        for _ in range(6):
            stream = adapter.stream_infer(endpoint, ask("stall"))
            await anext(stream)
            await stream.aclose()
            await stream.aclose()
            assert [event async for event in stream] == []
            assert stream.partial.text == BEGINNING
        await server.until(disconnects=6)


async def divide_by_zero(stream: InferenceStream) -> None:
    async with stream:
        await anext(stream)
        raise ZeroDivisionError


async def test_streams_left_by_an_error_of_the_caller(
    by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> None:
    """An exception inside the context comes out as it is, and the stream is closed."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await divide_by_zero(adapter.stream_infer(endpoint, ask("stall")))
        await server.until(disconnects=3)


@pytest.mark.parametrize("where", ["here", "in another thread"])
async def test_forgotten_streams(
    where: str, by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> None:
    """Streams that are only forgotten are let go when they are collected, in whichever thread that happens."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        for round_ in range(3):
            for _ in range(2):
                stream = adapter.stream_infer(endpoint, ask("stall"))
                await anext(stream)
                ring: list[object] = [stream]
                ring.append(ring)
                del stream, ring
            if where == "here":
                gc.collect()
            else:
                await anyio.to_thread.run_sync(gc.collect)
            await server.until(disconnects=2 * round_ + 2)


async def test_streams_never_begun(by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """A stream from which nothing was read has asked nothing."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        for _ in range(4):
            adapter.stream_infer(endpoint, ask("stall"))
            async with adapter.stream_infer(endpoint, ask("stall")):
                pass
        assert server.requests == []


@STREAMED
@pytest.mark.parametrize("moment", ["silence", "stall"])
async def test_cancelled_while_waiting(
    moment: str, streamed: bool, by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> None:
    """Calls that are cancelled while they wait for a head, or inside a body, end as cancelled and let go."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        for round_ in range(3):
            async with anyio.create_task_group() as tasks:
                for _ in range(2):
                    tasks.start_soon(consume, adapter, endpoint, moment, streamed)
                await server.until(requests=2 * round_ + 2)
                tasks.cancel_scope.cancel()
            await server.until(disconnects=2 * round_ + 2)


async def test_cancelled_in_the_queue(by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """Calls that are cancelled while they queue for a connection take no place with them."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        holders = [adapter.stream_infer(endpoint, ask("stall")) for _ in range(2)]
        for holder in holders:
            await anext(holder)
        async with anyio.create_task_group() as waiters:
            for number in range(10):
                waiters.start_soon(consume, adapter, endpoint, "stall", bool(number % 2))
            await anyio.wait_all_tasks_blocked()
            waiters.cancel_scope.cancel()
        assert len(server.requests) == 2
        for holder in holders:
            await holder.aclose()


async def consume(adapter: HttpAdapter, endpoint: EndpointSpec, prompt: str, streamed: bool) -> None:
    if streamed:
        async for _ in adapter.stream_infer(endpoint, ask(prompt)):
            pass
    else:
        await adapter.infer(endpoint, ask(prompt))
    pytest.fail("the call was to be cancelled")


@asynccontextmanager
async def once_asked(server: HostileServer, then: Callable[[], object]) -> AsyncGenerator[None]:
    """Do `then`, beside what is inside, as soon as the server has been asked something."""

    async def watch() -> None:
        await server.until(requests=1)
        then()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        yield


async def stalled_call(adapter: HttpAdapter, endpoint: EndpointSpec, *, streamed: bool) -> None:
    """A call that waits for an answer which never comes."""
    if streamed:
        await anext(adapter.stream_infer(endpoint, ask("silence")))
    else:
        await adapter.infer(endpoint, ask("silence"))


@STREAMED
async def test_scope_of_anyio(
    streamed: bool, by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> None:
    """`anyio.fail_after` around a stall raises its own error, not one of ours."""
    scope = anyio.CancelScope()
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        async with once_asked(server, lambda: setattr(scope, "deadline", anyio.current_time())):
            with pytest.raises(TimeoutError) as raised, anyio.fail_after(FAR_AWAY) as scope:
                await stalled_call(adapter, endpoint, streamed=streamed)
        assert not isinstance(raised.value, AirframeError)
        await server.until(disconnects=1)


@STREAMED
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_scope_of_asyncio(
    streamed: bool, by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> None:
    """`asyncio.timeout` around a stall raises its own error, not one of ours."""
    limit = asyncio.timeout(FAR_AWAY)
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        async with once_asked(server, lambda: limit.reschedule(anyio.current_time())):
            with pytest.raises(TimeoutError) as raised:
                async with limit:
                    await stalled_call(adapter, endpoint, streamed=streamed)
        assert not isinstance(raised.value, AirframeError)
        await server.until(disconnects=1)


@STREAMED
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_scope_of_trio(
    streamed: bool, by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> None:
    """`trio.fail_after` around a stall raises its own error, not one of ours."""
    scope = trio.CancelScope()
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        async with once_asked(server, lambda: setattr(scope, "deadline", trio.current_time())):
            with pytest.raises(trio.TooSlowError), trio.fail_after(FAR_AWAY) as scope:
                await stalled_call(adapter, endpoint, streamed=streamed)
        await server.until(disconnects=1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("prompt", ["silence", "stall"])
async def test_cancelled_twice(
    prompt: str, by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> None:
    """A task that is cancelled again while it is ending from the first time still lets go."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):

        async def call() -> None:
            async with adapter.stream_infer(endpoint, ask(prompt)) as stream:
                async for _ in stream:
                    pass

        for round_ in range(4):
            task = asyncio.create_task(call())
            await server.until(requests=round_ + 1)
            task.cancel()
            for _ in range(round_):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.until(disconnects=round_ + 1)


async def test_failing_streams(by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """Eight streams that break off in the middle leave a pool of two whole."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (_, adapter, endpoint):
        for _ in range(8):
            heard = await listen(adapter.stream_infer(endpoint, ask("reset")))
            assert heard.text == BEGINNING
            assert isinstance(heard.error, ConnectionFailedError)
            assert heard.error.committed


async def test_adapter_used_again_after_closing(
    by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt
) -> None:
    """A closed adapter opens new connections when it is asked again."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        for _ in range(2):
            assert (await adapter.infer(endpoint, ask("hello"))).text == TEXT
            await adapter.aclose()
            await server.until(open_connections=0)


async def test_connections_are_kept(by_prompt: Script, make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """Calls that end well follow each other on one connection, streamed or not."""
    async with pool_of_two(by_prompt, make_adapter, endpoint_at) as (server, adapter, endpoint):
        for _ in range(3):
            assert (await adapter.infer(endpoint, ask("hello"))).text == TEXT
            async with adapter.stream_infer(endpoint, ask("hello")) as stream:
                async for _ in stream:
                    pass
        assert {request.connection for request in server.requests} == {0}


async def test_connection_closed_while_idle(make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """A kept connection that the server closed meanwhile is not used: the next call makes a new one, unasked."""

    def answer_once(connection: Connection) -> None:
        turn = Turn(connection, CHAT, CHAT.is_stream(connection.request))
        turn.answer(turn.body)
        connection.close()

    with HostileServer(answer_once) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            endpoint = endpoint_at(server.base_url)
            for number in range(3):
                assert (await adapter.infer(endpoint, ask("hello"))).text == TEXT
                await server.until(open_connections=0, connections=number + 1)


async def test_connection_closed_on_the_second_request(make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """A kept connection that dies of its second request is a failed attempt, which the next one makes good."""

    def answer_once(connection: Connection) -> None:
        if sum(request.connection == connection.number for request in server.requests) > 1:
            connection.close()
        else:
            turn = Turn(connection, CHAT, CHAT.is_stream(connection.request))
            turn.answer(turn.body)

    with HostileServer(answer_once) as server:
        async with make_adapter(timeout=PATIENT, max_retries=1) as adapter:
            endpoint = endpoint_at(server.base_url)
            assert (await adapter.infer(endpoint, ask("hello"))).text == TEXT
            result = await adapter.infer(endpoint, ask("hello"))
            assert result.text == TEXT
            assert [attempt.category for attempt in result.attempts] == ["connection", None]
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            assert (await adapter.infer(endpoint, ask("hello"))).text == TEXT
            with pytest.raises(ConnectionFailedError):
                await adapter.infer(endpoint, ask("hello"))


async def test_surplus_bytes_answer_nothing(make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """Bytes beyond the end of an answer are never taken for the next one."""

    def answer_too_much(connection: Connection) -> None:
        turn = Turn(connection, CHAT, CHAT.is_stream(connection.request))
        body = b'{"choices": [{"message": {"content": "from before"}, "finish_reason": "stop"}]}'
        surplus = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        connection.send(turn.head() + chunk(turn.body) + chunk() + surplus)

    with HostileServer(answer_too_much) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            for _ in range(3):
                assert (await adapter.infer(endpoint_at(server.base_url), ask("hello"))).text == TEXT
        assert server.connections == 3


async def test_events_are_handed_out_as_they_come(make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """Each event reaches the caller before the server says the next one."""
    heard = threading.Semaphore(0)

    def one_at_a_time(connection: Connection) -> None:
        turn = Turn(connection, CHAT, streamed=True)
        connection.send(turn.head())
        for piece in PIECES:
            connection.send(chunk(CHAT.frame(CHAT.text(piece))))
            assert heard.acquire(timeout=10)
        connection.send(chunk(CHAT.finish() + CHAT.end()) + chunk())

    with HostileServer(one_at_a_time) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            stream = adapter.stream_infer(endpoint_at(server.base_url), ask("hello"))
            for piece in PIECES:
                assert await first_text(stream) == piece
                heard.release()
            assert [event.type async for event in stream] == [StreamEventType.MESSAGE, StreamEventType.DONE]


async def test_other_tasks_run_while_a_server_pings(make_adapter: MakeAdapter, endpoint_at: EndpointAt) -> None:
    """A server that pings as fast as it can leaves the event loop to others."""

    def ping(connection: Connection) -> None:
        connection.send(Turn(connection, CHAT, streamed=True).head())
        connection.repeat(chunk(b": ping\n\n" * 1000))

    with HostileServer(ping) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter, anyio.create_task_group() as tasks:
            tasks.start_soon(anext, adapter.stream_infer(endpoint_at(server.base_url), ask("hello")))
            await server.until(busy=1)
            for _ in range(20):
                await anyio.sleep(0.0001)
            tasks.cancel_scope.cancel()
        await server.until(disconnects=1)
