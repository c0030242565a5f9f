"""Nodes in front of a route: a gateway in distributed mode asks them first, and its providers when they cannot."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint

from airframe.endpoints import BackendKind, EndpointSpec
from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.virtual_time import LoopClock
from avionics.errors import LLMError
from avionics.llm import LLMGateway
from avionics.llm.nodes import NodePool, NodeProfile, StaticNodes
from avionics.llm.providers import MockProvider
from avionics.settings import Settings
from avionics.settings.nodes import NodeHealthSettings
from avionics.testing import RecordingObserver

pytestmark = pytest.mark.anyio

PATIENT = NodeHealthSettings(interval=None, first_wait=3600, longest_wait=3600)
DOWN, BUSY = Failure(ErrorCategory.CONNECTION), Failure(ErrorCategory.RATE_LIMIT, retry_after=60)


def node(name: str, *, agents: Sequence[str] = ()) -> NodeProfile:
    endpoint = EndpointSpec(base_url=f"http://{name}.invalid", backend_kind=BackendKind.LLAMA_SERVER)
    return NodeProfile(name=name, endpoint=endpoint, provider="own", agents=tuple(agents))


class Nodes:
    """A gateway over nodes, whose servers answer one script together, and the cloud behind them."""

    def __init__(
        self, *nodes: NodeProfile, script: Sequence[Step], cloud: Sequence[Step] = (), clock: LoopClock | None = None
    ) -> None:
        self.own = MockProvider(script, name="own", clock=clock)
        self.cloud = MockProvider(cloud, name="cloud")
        self.recorder = RecordingObserver()
        self.members = StaticNodes(nodes)
        self.pool = NodePool(self.members, health=PATIENT)
        settings = Settings(
            deployment_mode="distributed",
            llm_provider="cloud",
            providers={"cloud": {"kind": "mock"}, "own": {"kind": "mock"}},
        )
        self.gateway = LLMGateway(
            settings,
            observers=[self.recorder],
            providers={"own": self.own, "cloud": self.cloud},
            nodes=self.pool,
        )

    @property
    def asked(self) -> list[str]:
        """Which hosts, in order."""
        return [endpoint.base_url.split("/")[2].removesuffix(".invalid") for endpoint, _ in self.own.script.calls]


async def test_a_node_is_asked_before_the_provider() -> None:
    """On record under its own name."""
    nodes = Nodes(node("left"), script=[Answer(text="a")])
    assert (await nodes.gateway.complete("Why?")).provider == "own"
    (attempt,) = nodes.recorder.end.attempts
    assert "left" in (attempt.deployment or "")
    assert attempt.server_address == "left.invalid"


async def test_when_one_is_down_the_other_is_asked_and_then_the_provider() -> None:
    """And who refused a connection is not asked by the next call."""
    nodes = Nodes(
        node("left"), node("right"), script=[DOWN, Answer(text="a"), DOWN], cloud=[Answer(text="c"), Answer(text="d")]
    )
    texts = [(await nodes.gateway.complete("Why?")).text for _ in range(3)]
    assert texts == ["a", "c", "d"]
    first, second, third = nodes.asked
    assert first != second == third


async def test_one_that_is_busy_leaves_the_others_theirs() -> None:
    """What a node says of its limits is not said of the next one."""
    nodes = Nodes(node("left"), node("right"), script=[BUSY, Answer(text="a")])
    assert (await nodes.gateway.complete("Why?")).text == "a"
    assert sorted(nodes.asked) == ["left", "right"]


async def test_a_node_that_is_kept_for_an_agent_is_asked_for_no_other() -> None:
    """The provider is."""
    nodes = Nodes(node("left", agents=["planner"]), script=[Answer(text="a")], cloud=[Answer(text="c")])
    assert (await nodes.gateway.complete("Why?", agent_name="planner")).text == "a"
    assert (await nodes.gateway.complete("Why?", agent_name="writer")).text == "c"


async def test_when_nobody_is_left_every_cause_is_told() -> None:
    """Nodes and providers alike, and no node is busy afterwards."""
    nodes = Nodes(node("left"), node("right"), script=[DOWN, DOWN], cloud=[Failure(ErrorCategory.SERVER)])
    with pytest.raises(LLMError) as caught:
        await nodes.gateway.complete("Why?")
    assert len(getattr(caught.value, "causes", ())) == 3


async def test_calls_at_once_are_spread() -> None:
    """Who has one under way comes after who has none."""
    nodes = Nodes(node("left"), node("right"), script=[Answer(text="a", delay=0.05)] * 2, clock=LoopClock())
    async with anyio.create_task_group() as tasks:
        for number in (1, 2):
            tasks.start_soon(nodes.gateway.complete, f"{number}?")
            while len(nodes.asked) < number:
                await checkpoint()
    assert sorted(nodes.asked) == ["left", "right"]
