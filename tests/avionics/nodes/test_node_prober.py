"""Probes in the background, and the upkeep of a pool."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from airframe.endpoints import EndpointSpec, HealthReport, HealthState, ServerLoad
from airframe.errors import ErrorCategory
from airframe.testing import ScriptedAdapter
from airframe.testing.hostile import Connection, HostileServer
from avionics.llm.nodes import FileNodes, NodePool, NodeProber, NodeProfile, StaticNodes, keep_current
from avionics.settings.nodes import NodeHealthSettings

pytestmark = pytest.mark.anyio

Until = Callable[[Callable[[], object]], Awaitable[None]]

OFTEN = NodeHealthSettings(interval=0.001, first_wait=0.001, longest_wait=0.01)
GONE = HealthReport(state=HealthState.UNREACHABLE, detail="refused")
WELL = HealthReport(state=HealthState.HEALTHY)


def asked(pool: NodePool) -> list[str]:
    return [profile.name for profile in pool.candidates()]


async def test_a_probe_tells_health_and_load(node: Callable[..., NodeProfile]) -> None:
    """Who is well is also asked what it is occupied with; both are to be seen in the states."""
    load = ServerLoad(slots=2, busy_slots=1, waiting=0, loaded_models=("m",))
    adapter = ScriptedAdapter(load=load)
    pool = NodePool(StaticNodes([node("a"), node("b")]))
    prober = NodeProber(pool, adapters={"llama_server": adapter})
    await prober.probe_all()
    assert [state.load for state in pool.states().values()] == [load, load]
    adapter.health = GONE
    await prober.probe_all()
    assert asked(pool) == []
    assert "unreachable: refused" in pool.plan().excluded[0].why


async def test_a_node_goes_and_returns(node: Callable[..., NodeProfile], until: Until) -> None:
    """As long as the context is open, health decides who is asked."""
    adapter = ScriptedAdapter()
    pool = NodePool(StaticNodes([node("a")]), health=OFTEN)
    async with keep_current(pool, adapters={"llama_server": adapter}):
        for _ in range(2):
            adapter.health = GONE
            await until(lambda: asked(pool) == [])
            adapter.health = WELL
            await until(lambda: asked(pool) == ["a"])


async def test_a_node_that_failed_calls_is_brought_back_by_a_probe(
    node: Callable[..., NodeProfile], until: Until
) -> None:
    """No call has to try it."""
    pool = NodePool(StaticNodes([node("a")]), health=OFTEN)
    async with keep_current(pool, adapters={"llama_server": ScriptedAdapter()}):
        pool.finished("a", ErrorCategory.CONNECTION)
        await until(lambda: asked(pool) == ["a"])


async def test_a_silent_node_delays_no_other(node: Callable[..., NodeProfile], until: Until) -> None:
    """One that accepts connections and says nothing is waited for on its own, once; the others are probed on and on."""

    class Counting(ScriptedAdapter):
        probes = 0

        async def check_health(self, endpoint: EndpointSpec) -> HealthReport:
            self.probes += 1
            return await super().check_health(endpoint)

    adapter = Counting()

    def silent(connection: Connection) -> None:
        connection.stall()

    with HostileServer(silent) as server:
        frozen = NodeProfile(name="frozen", endpoint=EndpointSpec(base_url=server.base_url, backend_kind="ollama"))
        pool = NodePool(StaticNodes([frozen, node("a")]), health=OFTEN)
        async with keep_current(pool, adapters={"llama_server": adapter}):
            await server.until(busy=1)
            before = adapter.probes
            await until(lambda: adapter.probes > before + 2)
            assert len(server.requests) == 1


async def test_a_probe_that_breaks_is_a_node_that_is_down(
    node: Callable[..., NodeProfile], caplog: pytest.LogCaptureFixture
) -> None:
    """An adapter of somebody else may raise anything: the probes go on, and it is told once for each node."""

    class Broken(ScriptedAdapter):
        async def check_health(self, endpoint: EndpointSpec) -> HealthReport:
            raise ZeroDivisionError

    strange = NodeProfile(name="b", endpoint=EndpointSpec(base_url="http://b", backend_kind="nobodys"))
    pool = NodePool(StaticNodes([node("a"), strange]))
    async with NodeProber(pool, adapters={"llama_server": Broken()}) as prober:
        await prober.probe_all()
        await prober.probe_all()
    reasons = [each.why for each in pool.plan().excluded]
    assert "ZeroDivisionError" in reasons[0]
    assert "backend kind 'nobodys' is unknown" in reasons[1]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_node_that_does_not_tell_its_slots_is_well(
    node: Callable[..., NodeProfile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that reads a long prompt answers `/health` and nothing else: it is not down."""

    class Reading(ScriptedAdapter):
        async def check_load(self, endpoint: EndpointSpec) -> ServerLoad:
            await anyio.sleep_forever()
            return ServerLoad()

    monkeypatch.setattr("avionics.llm.nodes.prober._LOAD_SECONDS", 0.01)
    pool = NodePool(StaticNodes([node("a")]))
    await NodeProber(pool, adapters={"llama_server": Reading()}).probe_all()
    assert asked(pool) == ["a"]


async def test_without_an_interval_nobody_is_probed(node: Callable[..., NodeProfile]) -> None:
    """Then calls alone tell how a node is."""
    adapter = ScriptedAdapter(health=GONE)
    pool = NodePool(StaticNodes([node("a")]), health=NodeHealthSettings(interval=None))
    async with keep_current(pool, adapters={"llama_server": adapter}) as prober:
        assert asked(pool) == ["a"]
        await prober.probe_all()
        assert asked(pool) == []


async def test_the_source_is_watched_too(tmp_path: Path, until: Until) -> None:
    """A node that is new in the file is probed and asked."""
    file = tmp_path / "nodes.yaml"
    file.write_text("nodes: {a: {base_url: 'http://a'}}")
    pool = NodePool(FileNodes(file, interval=0.001), health=OFTEN)
    async with keep_current(pool, adapters={"llama_server": ScriptedAdapter(load=ServerLoad(slots=3))}):
        file.write_text("nodes: {b: {base_url: 'http://b'}}")
        await until(lambda: [state.load for state in pool.states().values()] == [ServerLoad(slots=3)])
        await until(lambda: asked(pool) == ["b"])


async def test_leaving_the_context_ends_everything(node: Callable[..., NodeProfile]) -> None:
    """Also by an error, which stays what it is, and is not put into a group."""
    pool = NodePool(StaticNodes([node("a")]), health=OFTEN)
    with pytest.raises(KeyError, match="mine"), anyio.fail_after(30):
        async with keep_current(pool, adapters={"llama_server": ScriptedAdapter()}):
            raise KeyError("mine")
