"""Mixed calls for a long time: good, faulty, cancelled, abandoned; afterwards nothing has grown.

Four hundred calls by default; `AIRFRAME_SOAK_CALLS=10000` makes as many as `nox -s soak` does.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import random
import resource
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError, ErrorCategory
from airframe.testing.hostile import FAULTS, PATIENT, TEXT, TRAFFIC, Connection, HostileServer, Turn
from airframe.types import InferenceRequest, Message

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["openai", "openai_over_httpx"], indirect=True),
    pytest.mark.skipif(sys.platform != "linux", reason="what is open is read in /proc"),
]

CALLS = int(os.environ.get("AIRFRAME_SOAK_CALLS", "400"))
AT_ONCE = 20
GROWN_BYTES = 12 * 1024 * 1024

FAULTS_BY_NAME = {fault.name: fault for section in FAULTS for fault in section}
FAULTY = (
    "closed_without_a_byte",
    "reset_inside_the_head",
    "no_answer",
    "no_http",
    "silence_in_the_middle",
    "reset_between_chunks",
    "closed_between_chunks",
    "web_page",
    "error_first",
    "error_page",
)
ENDLESS = {"no_answer", "silence_in_the_middle"}
PROMPTS = ("hello",) * len(FAULTY) + FAULTY
WAYS = ("whole", "read", "left", "forgotten")
EXPECTED = {
    ErrorCategory.CONNECTION,
    ErrorCategory.PROTOCOL,
    ErrorCategory.SERVER,
    ErrorCategory.OVERLOADED,
}


def serve(connection: Connection) -> None:
    """The prompt is the name of the fault."""
    chat = TRAFFIC["chat"]
    body = connection.request.body
    for name in FAULTY:
        if f'"{name}"'.encode() in body:
            FAULTS_BY_NAME[name].script(chat)(connection)
            return
    turn = Turn(connection, chat, chat.is_stream(connection.request))
    turn.answer(turn.body)


async def call(adapter: HttpAdapter, endpoint: EndpointSpec, prompt: str, way: str) -> str:
    """One call; how it ended."""
    question = InferenceRequest(messages=[Message("user", prompt)], model="m-1")
    try:
        if way == "whole":
            result = await adapter.infer(endpoint, question)
        else:
            stream = adapter.stream_infer(endpoint, question)
            if way == "forgotten":
                await anext(stream)
                return "abandoned"
            async for _ in stream:
                if way == "left":
                    return "abandoned"
            result = stream.result
    except AirframeError as error:
        assert error.category in EXPECTED, repr(error)  # noqa: PT017 - which of them, the table of faults says
        return "failed"
    assert result.text == TEXT
    return "answered"


async def test_nothing_grows(
    make_adapter: Callable[..., HttpAdapter], endpoint_at: Callable[..., EndpointSpec]
) -> None:
    """After thousands of mixed calls there are no more memory, open files and tasks in use than after the first."""
    chance = random.Random(7)
    outcomes: Counter[str] = Counter()

    async def one(adapter: HttpAdapter, endpoint: EndpointSpec) -> None:
        prompt = chance.choice(PROMPTS)
        # Half of those that would end by themselves may do so, however slow the machine.
        patience = chance.choice([0.001, 0.01, 0.1] if prompt in ENDLESS else [0.001, 0.01, math.inf, math.inf])
        with anyio.move_on_after(patience) as scope:
            outcomes[await call(adapter, endpoint, prompt, chance.choice(WAYS))] += 1
        outcomes["cancelled"] += scope.cancelled_caught

    async def in_use(calls: int) -> tuple[int, list[str], int]:
        for _ in range(calls // AT_ONCE):
            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(one, adapter, endpoint)
            server.requests.clear()
        gc.collect()
        # The server takes connections in turn: when it has answered this call, it has seen all that knocked before.
        assert await call(adapter, endpoint, "hello", "whole") == "answered"
        await adapter.aclose()
        await server.until(within=60.0, open_connections=0)
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        return resident_bytes(), open_files(), running_tasks()

    with HostileServer(serve) as server:
        endpoint = endpoint_at(server.base_url, max_connections=5)
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            await in_use(CALLS // 10)
            memory, files, tasks = await in_use(CALLS // 10)
            memory_later, files_later, tasks_later = await in_use(CALLS)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{dict(outcomes)}; {(memory_later - memory) / 2**20:+.1f} MB; CPU {used.ru_utime + used.ru_stime:.0f} s")  # noqa: T201
    assert min(outcomes[outcome] for outcome in ("answered", "failed", "abandoned", "cancelled")) > CALLS // 100
    assert memory_later - memory <= GROWN_BYTES
    assert len(files_later) <= len(files), (files, files_later)
    assert tasks_later <= tasks


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def open_files() -> list[str]:
    """What is open, by name. The listing itself has a file open that is gone when its name is asked for."""
    names: list[str] = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            names.append(os.readlink(link))  # noqa: PTH115 - it may be gone
        except FileNotFoundError:
            continue
    return names


def running_tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        import trio

        return trio.lowlevel.current_statistics().tasks_living
