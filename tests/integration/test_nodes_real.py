"""Nodes that are real llama.cpp servers: one is stopped, one is frozen, one is busy, one is slow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import pytest

from airframe import (
    AirframeError,
    EndpointSpec,
    InferenceRequest,
    InferenceResult,
    LlamaServerAdapter,
    Message,
    StreamEventType,
)
from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.tiny_model import REPLY
from airframe.types import ReasoningOptions
from airframe.types.llama import LlamaTimings
from avionics.llm import LLMGateway, LLMProvider, create_llm_provider
from avionics.llm.nodes import NodePool, NodeProfile, StaticNodes, affinity_key, keep_current, node_pool
from avionics.llm.requests import RequestOptions
from avionics.settings import Settings
from avionics.settings.nodes import NodeHealthSettings

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

OFTEN = NodeHealthSettings(interval=0.05, first_wait=0.05, longest_wait=0.1, report_lifetime=3600)
PATIENT = 100.0
"""Seconds within which everything here happens, also on a machine that has much else to do."""


def node_at(name: str, server: LlamaServerProcess) -> NodeProfile:
    return NodeProfile(name=name, endpoint=EndpointSpec(base_url=server.base_url))


def asking(text: str = "Hi", *history: Message) -> InferenceRequest:
    return InferenceRequest(
        messages=[*history, Message("user", text)],
        temperature=0.0,
        max_tokens=60,
        reasoning=ReasoningOptions(enabled=False),
    )


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENT):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def answered_by(
    pool: NodePool, provider: LLMProvider, request: InferenceRequest | None = None
) -> tuple[str, InferenceResult]:
    """One call: node by node, best first, until one answers; who did, and what it said."""
    request = request or asking()
    while True:
        await until(pool.candidates)
        for node in pool.candidates(affinity_key=affinity_key(request.messages)):
            pool.began(node)
            started = anyio.current_time()
            try:
                result = await provider.at(node.endpoint).infer(request)
            except AirframeError as error:
                pool.finished(node, error.category)
                continue
            seconds = anyio.current_time() - started
            pool.finished(node, tokens=result.usage.output_tokens, seconds=seconds)
            assert result.text == REPLY
            return node.name, result


def provider() -> LLMProvider:
    return create_llm_provider("llamaserver", Settings(llm_max_retries=0))


def names(pool: NodePool) -> set[str]:
    return {node.name for node in pool.candidates()}


async def test_a_stopped_node_is_missed_by_nobody_and_returns(tiny_model: Path, llama_binary: Path | None) -> None:
    """Calls go on with the others; started again at its address, it is asked again."""
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(LlamaServerProcess(tiny_model, binary=llama_binary)) for name in ("a", "b", "c")
        }
        pool = NodePool(StaticNodes(node_at(name, server) for name, server in servers.items()), health=OFTEN)
        async with provider() as asked, keep_current(pool):
            await until(lambda: all(state.load for state in pool.states().values()))
            first, _ = await answered_by(pool, asked)
            servers[first].kill()
            others = set(servers) - {first}
            for _ in range(5):
                name, _ = await answered_by(pool, asked)
                assert name in others
            await until(lambda: first not in names(pool))
            assert any(each.node.name == first and "down for" in each.why for each in pool.plan().excluded)

            port = urlsplit(servers[first].base_url).port or 0
            stack.enter_context(LlamaServerProcess(tiny_model, binary=llama_binary, port=port))
            await until(lambda: first in names(pool))
            for name in others:
                pool.mark_node_healthy(name, healthy=False)
            assert (await answered_by(pool, asked))[0] == first


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_the_gateway_asks_the_nodes(tiny_model: Path, llama_binary: Path | None, streamed: bool) -> None:
    """Calls go to the best node, to the other one when that is gone, and their ends are told to the pool."""
    with (
        LlamaServerProcess(tiny_model, binary=llama_binary) as left,
        LlamaServerProcess(tiny_model, binary=llama_binary) as right,
    ):
        members = {"left": {"base_url": left.base_url}, "right": {"base_url": right.base_url}}
        settings = Settings(deployment_mode="distributed", llm_max_retries=0, nodes={"members": members})
        pool = node_pool(settings)
        assert pool is not None
        options: RequestOptions = {"temperature": 0.0, "max_tokens": 60, "reasoning": ReasoningOptions(enabled=False)}

        async def ask(gateway: LLMGateway) -> str:
            if not streamed:
                return (await gateway.complete("Hi", agent_name="planner", **options)).text
            async with gateway.complete_stream("Hi", agent_name="planner", **options) as stream:
                return "".join([chunk.text async for chunk in stream])

        async with LLMGateway(settings, nodes=pool, observers=[]) as gateway:
            assert await ask(gateway) == REPLY
            (asked,) = [name for name, state in pool.states().items() if state.speed]
            {"left": left, "right": right}[asked].kill()
            for _ in range(3):
                assert await ask(gateway) == REPLY
        states = pool.states()
        assert states[asked].down is not None
        assert {name for name, state in states.items() if state.speed} == {"left", "right"}
        assert [state.in_flight for state in states.values()] == [0, 0]


async def test_a_frozen_node_is_not_asked(tiny_model: Path, llama_binary: Path | None) -> None:
    """It accepts connections and says nothing: a probe finds out, so that no call has to."""
    with (
        LlamaServerProcess(tiny_model, binary=llama_binary) as frozen,
        LlamaServerProcess(tiny_model, binary=llama_binary) as well,
    ):
        pool = NodePool(StaticNodes([node_at("frozen", frozen), node_at("well", well)]), health=OFTEN)
        async with provider() as asked, keep_current(pool):
            await until(lambda: names(pool) == {"frozen", "well"})
            frozen.suspend()
            await until(lambda: "frozen" not in names(pool))
            for number in range(5):
                name, _ = await answered_by(pool, asked, asking(f"Question {number}"))
                assert name == "well"
            frozen.resume()
            await until(lambda: "frozen" in names(pool))


async def test_a_busy_node_is_asked_last(loop_model: Path, tiny_model: Path, llama_binary: Path | None) -> None:
    """Its slot is taken and others wait for it, though none of them is ours: it says so, and calls go elsewhere."""
    with (
        LlamaServerProcess(loop_model, binary=llama_binary, slots=1) as busy,
        LlamaServerProcess(tiny_model, binary=llama_binary, slots=1) as idle,
    ):
        pool = NodePool(StaticNodes([node_at("busy", busy), node_at("idle", idle)]), health=OFTEN)

        async def occupy() -> None:
            while True:
                async for _ in adapter.stream_infer(EndpointSpec(base_url=busy.base_url), asking()):
                    pass

        async with LlamaServerAdapter(max_retries=0) as adapter, anyio.create_task_group() as crowd:
            for _ in range(4):
                crowd.start_soon(occupy)

            def is_known() -> bool:
                loads = {name: state.load for name, state in pool.states().items()}
                taken, free = loads["busy"], loads["idle"]
                return bool(taken and taken.busy_slots and taken.waiting and free and names(pool) == {"busy", "idle"})

            async with keep_current(pool):
                await until(is_known)
            plan = pool.plan()  # as it stands now: nobody probes any more
            assert [ranked.node.name for ranked in plan.ranked] == ["idle", "busy"]
            terms = {term.name: term.why for term in plan.ranked[1].reasons}
            assert terms["slot"] == "0 of 1 slots free"
            async with provider() as asked:
                for number in range(3):
                    assert (await answered_by(pool, asked, asking(f"Question {number}")))[0] == "idle"
            crowd.cancel_scope.cancel()


async def test_a_slow_node_is_asked_after_a_fast_one(tiny_model: Path, llama_binary: Path | None) -> None:
    """One that stood still in the middle of an answer, while the other gave three, is measured as the slower one."""
    with (
        LlamaServerProcess(tiny_model, binary=llama_binary) as slow,
        LlamaServerProcess(tiny_model, binary=llama_binary) as fast,
    ):
        pool = NodePool(StaticNodes([node_at("slow", slow), node_at("fast", fast)]))
        async with provider() as asked:
            pool.began("slow")
            started = anyio.current_time()
            stream = asked.at(node_at("slow", slow).endpoint).stream(asking())
            async for event in stream:
                if event.type is StreamEventType.TOKEN and not pool.states()["fast"].speed:
                    slow.suspend()
                    for _ in range(3):
                        assert (await answered_by(pool, asked, asking()))[0] == "fast"
                    slow.resume()
            pool.finished("slow", tokens=stream.result.usage.output_tokens, seconds=anyio.current_time() - started)
        states = pool.states()
        assert states["slow"].speed is not None
        assert states["fast"].speed is not None
        assert states["slow"].speed < states["fast"].speed
        assert [node.name for node in pool.candidates()] == ["fast", "slow"]


async def test_a_conversation_meets_what_was_read_before(tiny_model: Path, llama_binary: Path | None) -> None:
    """Its second turn goes to the node of the first, which takes the beginning from its prompt cache."""
    with (
        LlamaServerProcess(tiny_model, binary=llama_binary) as left,
        LlamaServerProcess(tiny_model, binary=llama_binary) as right,
    ):
        pool = NodePool(StaticNodes([node_at("left", left), node_at("right", right)]))
        met: set[str] = set()
        async with provider() as asked:
            for number in range(6):
                first = asking(f"Question {number}")
                name, result = await answered_by(pool, asked, first)
                second = asking("Why?", *first.messages, result.message)
                again, result = await answered_by(pool, asked, second)
                assert again == name
                assert (LlamaTimings.of(result.timings).cached_tokens or 0) > 0
                met.add(name)
        assert met == {"left", "right"}
