"""One adapter in several event loops, threads and processes; and programs that end without closing anything."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec
from airframe.testing.hostile import PATIENT, TEXT, Connection, HostileServer, Script, Traffic, Turn, chunk
from airframe.types import InferenceRequest, Message

BOTH_TRANSPORTS = pytest.mark.parametrize("backend", ["openai", "openai_over_httpx"], indirect=True)
OVER_OUR_TRANSPORT = pytest.mark.parametrize("backend", ["openai"], indirect=True)

MakeAdapter = Callable[..., HttpAdapter]
EndpointAt = Callable[..., EndpointSpec]
STALL = InferenceRequest(messages=[Message("user", "stall")], model="m-1")
IN_LOOPS = pytest.mark.parametrize("loop", ["asyncio", "trio"])


async def ask(adapter: HttpAdapter, endpoint: EndpointSpec, question: InferenceRequest) -> None:
    """A whole answer, a stream read to its end, and one that is left."""
    assert (await adapter.infer(endpoint, question)).text == TEXT
    async with adapter.stream_infer(endpoint, question) as stream:
        async for _ in stream:
            pass
    assert stream.result.text == TEXT
    async for _ in adapter.stream_infer(endpoint, question):
        break


@BOTH_TRANSPORTS
@IN_LOOPS
def test_one_event_loop_after_the_other(
    loop: str, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest, by_answer: Script
) -> None:
    """An adapter serves one loop after another, and leaves no connection behind in one that has ended."""
    with HostileServer(by_answer) as server:
        adapter = make_adapter(timeout=PATIENT, max_retries=0)
        for _ in range(3):
            anyio.run(ask, adapter, endpoint_at(server.base_url), question, backend=loop)
            server.wait(open_connections=0)
    del adapter
    gc.collect()


@BOTH_TRANSPORTS
def test_both_kinds_of_event_loop(
    make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest, by_answer: Script
) -> None:
    """An adapter that was used on asyncio works on trio, and back."""
    with HostileServer(by_answer) as server:
        adapter = make_adapter(timeout=PATIENT, max_retries=0)
        for loop in ("asyncio", "trio", "asyncio"):
            anyio.run(ask, adapter, endpoint_at(server.base_url), question, backend=loop)


@BOTH_TRANSPORTS
@IN_LOOPS
def test_eight_threads(
    loop: str, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest, by_answer: Script
) -> None:
    """Eight threads, each with an event loop of its own, share an adapter at the same time."""
    with HostileServer(by_answer) as server, ThreadPoolExecutor(8) as threads:
        adapter = make_adapter(timeout=PATIENT, max_retries=0)
        together = threading.Barrier(8, timeout=20)

        def work() -> None:
            together.wait()
            for _ in range(3):
                anyio.run(ask, adapter, endpoint_at(server.base_url), question, backend=loop)

        for done in [threads.submit(work) for _ in range(8)]:
            done.result()
        server.wait(open_connections=0)


@BOTH_TRANSPORTS
@IN_LOOPS
def test_stream_left_in_a_loop_that_ends(
    loop: str, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest, by_prompt: Script
) -> None:
    """A stream that outlives its event loop is let go of without a warning, and the server sees the end."""
    with HostileServer(by_prompt) as server:
        adapter = make_adapter(timeout=PATIENT, max_retries=0)
        kept: list[object] = []

        async def begin() -> None:
            stream = adapter.stream_infer(endpoint_at(server.base_url), STALL)
            await anext(stream)
            kept.append(stream)

        anyio.run(begin, backend=loop)
        kept.clear()
        gc.collect()
        server.wait(disconnects=1)


FORK = """
    async def main():
        adapter, endpoint = make_adapter(), make_endpoint()
        await adapter.infer(endpoint, question)
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            await adapter.infer(endpoint, question)
        else:
            # The inherited loop is the parent's; a worker makes one of its own.
            worker = threading.Thread(target=lambda: asyncio.run(in_the_child(adapter, endpoint)))
            worker.start()
            worker.join()
            os._exit(0 if done else 1)

    done = []

    async def in_the_child(adapter, endpoint):
        assert (await adapter.infer(endpoint, question)).text == text
        async for _ in adapter.stream_infer(endpoint, question):
            break
        done.append(True)

    asyncio.run(main())
"""

FORK_WITH_A_LOOP = """
    loop = asyncio.new_event_loop()
    adapter, endpoint = make_adapter(), make_endpoint()
    loop.run_until_complete(adapter.infer(endpoint, question))
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        loop.run_until_complete(adapter.infer(endpoint, question))
        loop.run_until_complete(adapter.aclose())
        loop.close()
    else:
        # As a prefork worker does that keeps its loop in a global variable.
        assert loop.run_until_complete(adapter.infer(endpoint, question)).text == text
        os._exit(0)
"""

FORK_IN_A_STREAM = """
    async def main():
        adapter, endpoint = make_adapter(), make_endpoint()
        streams = [adapter.stream_infer(endpoint, question)]
        await anext(streams[0])
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            assert (await adapter.infer(endpoint, question)).text == text
            async for event in streams[0]:
                pass
            assert streams[0].result.text == text
        else:
            streams.clear()
            gc.collect()
            os._exit(0)

    asyncio.run(main())
"""

FORGET = """
    async def main():
        stream = make_adapter().stream_infer(make_endpoint(), question)
        await anext(stream)
        kept.append(stream)

    kept = []
    anyio.run(main, backend=sys.argv[2])
"""

PROLOGUE = """
    import asyncio, gc, os, sys, threading, anyio
    from airframe.adapters import OpenAIChatAdapter
    from airframe.endpoints import EndpointSpec
    from airframe.testing.hostile import TEXT as text
    from airframe.types import InferenceRequest, Message

    question = InferenceRequest(messages=[Message("user", sys.argv[3])], model="m-1")
    make_endpoint = lambda: EndpointSpec(base_url=sys.argv[1])
    make_adapter = lambda: OpenAIChatAdapter(max_retries=0)
"""


def run(program: str, *arguments: str) -> None:
    """Run a program that must end well, without a word on standard error. Forking a process with threads warns."""
    source = textwrap.dedent(PROLOGUE) + textwrap.dedent(program)
    options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *options, "-c", source, *arguments], capture_output=True, text=True, timeout=150, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@OVER_OUR_TRANSPORT
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_fork_after_use(by_answer: Script) -> None:
    """A forked child gets connections of its own; the parent's kept one is untouched, and goes on serving."""
    with HostileServer(by_answer) as server:
        run(FORK, server.base_url, "asyncio", "hello")
        assert [request.connection for request in server.requests] == [0, 1, 1, 0]


@OVER_OUR_TRANSPORT
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_fork_with_a_loop_in_use(by_answer: Script) -> None:
    """A forked child that goes on with the parent's event loop says nothing over the parent's kept connection."""
    with HostileServer(by_answer) as server:
        run(FORK_WITH_A_LOOP, server.base_url, "asyncio", "hello")
        assert [request.connection for request in server.requests] == [0, 1, 0]


@OVER_OUR_TRANSPORT
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_fork_in_the_middle_of_a_stream(traffic: Traffic) -> None:
    """A stream that a forked child inherits and forgets goes on in the parent."""
    forked = threading.Event()

    def two_halves(connection: Connection) -> None:
        turn = Turn(connection, traffic, traffic.is_stream(connection.request))
        if not turn.streamed:
            turn.answer(turn.body)
            forked.set()
            return
        connection.send(turn.head() + chunk(turn.beginning))
        assert forked.wait(20)
        connection.send(chunk(turn.rest) + chunk())

    with HostileServer(two_halves) as server:
        run(FORK_IN_A_STREAM, server.base_url, "asyncio", "hello")


@OVER_OUR_TRANSPORT
@IN_LOOPS
def test_interpreter_ends_with_an_open_stream(loop: str, by_prompt: Script) -> None:
    """A program that ends in the middle of a stream ends quietly, and the server sees it go."""
    with HostileServer(by_prompt) as server:
        run(FORGET, server.base_url, loop, "stall")
        server.wait(disconnects=1)
