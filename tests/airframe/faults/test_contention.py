"""Many calls at once on a small pool: whatever happens to them, the pool is whole afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio
import pytest

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError, ErrorCategory
from airframe.testing.hostile import PATIENT, TEXT, HostileServer, Script
from airframe.types import InferenceRequest, Message

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["openai", "openai_over_httpx"], indirect=True),
]

PROMPTS = ("hello", "hello", "stall", "silence", "reset")


def ask(prompt: str) -> InferenceRequest:
    return InferenceRequest(messages=[Message("user", prompt)], model="m-1")


async def call(adapter: HttpAdapter, endpoint: EndpointSpec, prompt: str, way: str) -> None:
    """One call, and the only outcomes it may have: the answer, a lost connection, or the caller's own cancellation."""
    try:
        if way == "whole":
            assert (await adapter.infer(endpoint, ask(prompt))).text == TEXT
        else:
            async for _ in adapter.stream_infer(endpoint, ask(prompt)):
                if way == "broken off":
                    break
    except AirframeError as error:
        assert error.category is ErrorCategory.CONNECTION  # noqa: PT017 - the other outcomes are no errors


@pytest.mark.parametrize("seed", range(3))
async def test_waves_of_cancellations(
    seed: int, by_prompt: Script, make_adapter: Callable[..., HttpAdapter], endpoint_at: Callable[..., EndpointSpec]
) -> None:
    """Fifty calls on two connections, each cancelled at a moment of its own; then twenty calls that all succeed."""
    chance = random.Random(seed)

    async def cancelled(adapter: HttpAdapter, endpoint: EndpointSpec) -> None:
        prompt, way = chance.choice(PROMPTS), chance.choice(["whole", "stream", "broken off"])
        patience = chance.choice([0.0, 0.001, 0.003, 0.01, 0.03, 0.1])
        with anyio.move_on_after(patience):
            await call(adapter, endpoint, prompt, way)

    with HostileServer(by_prompt) as server:
        endpoint = endpoint_at(server.base_url, max_connections=2)
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            for _ in range(2):
                async with anyio.create_task_group() as tasks:
                    for _ in range(50):
                        tasks.start_soon(cancelled, adapter, endpoint)
                await server.until(busy=0)
                async with anyio.create_task_group() as tasks:
                    for number in range(20):
                        tasks.start_soon(call, adapter, endpoint, "hello", ["whole", "stream"][number % 2])
        await server.until(open_connections=0)
