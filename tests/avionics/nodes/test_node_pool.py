"""The nodes as a caller needs them: who is asked, who is not and why, and what is learned from calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from airframe.endpoints import EndpointSpec, HealthReport, HealthState, ServerLoad
from airframe.errors import ErrorCategory
from airframe.testing import Clock
from avionics.llm.nodes import InferenceEndpointsProtocol, NodePool, NodeProfile, StaticNodes

WELL = HealthReport(state=HealthState.HEALTHY)


def names(profiles: Sequence[NodeProfile]) -> list[str]:
    return [profile.name for profile in profiles]


def test_candidates_are_those_that_fit(node: Callable[..., NodeProfile]) -> None:
    """By agent, model and labels; the plan says of the others why not."""
    pool = NodePool(
        StaticNodes(
            [
                node("kept", agents=("planner",)),
                node("small", models=("llama3",)),
                node("big", labels={"gpu": "h100"}),
            ]
        )
    )
    assert names(pool.candidates()) == ["small", "big"]
    assert names(pool.candidates("planner")) == ["kept", "small", "big"]
    assert names(pool.candidates("writer", "qwen3")) == ["big"]
    assert names(pool.candidates(model="llama3:latest", labels={"gpu": "h100"})) == ["big"]
    plan = pool.plan("writer", "qwen3")
    assert [(each.node.name, each.why) for each in plan.excluded] == [
        ("kept", "kept for planner"),
        ("small", "has no model qwen3; it has llama3"),
    ]
    assert pool.plan(labels={"gpu": "a100"}).excluded[-1].why == "its labels differ: gpu"


def test_it_is_a_registry(node: Callable[..., NodeProfile]) -> None:
    """The node for an agent is the best one now, and none when none can be asked."""
    pool = NodePool(StaticNodes([node("a"), node("b")]))
    assert isinstance(pool, InferenceEndpointsProtocol)
    assert names(pool.list_profiles()) == ["a", "b"]
    for name in ("a", "b"):
        found = pool.get_profile_for_agent("planner")
        assert found is not None
        assert found.name == name
        pool.mark_node_healthy(name, healthy=False)
    assert pool.get_profile_for_agent("planner") is None
    pool.mark_node_healthy("b")
    assert names(pool.candidates("planner")) == ["b"]


def test_calls_go_where_least_is_to_be_done(node: Callable[..., NodeProfile]) -> None:
    """Each call that is begun counts at once; nodes are filled according to their slots."""
    pool = NodePool(StaticNodes([node("two", slots=2), node("four", slots=4)]))
    for _ in range(12):
        pool.began(pool.candidates()[0])
    states = pool.states()
    assert (states["two"].in_flight, states["four"].in_flight) == (4, 8)
    for _ in range(4):
        pool.finished("two", tokens=100, seconds=2.0)
    assert names(pool.candidates())[0] == "two"
    assert pool.states()["two"].speed == 50.0


def test_a_node_that_refuses_is_left_alone_and_comes_back(node: Callable[..., NodeProfile], clock: Clock) -> None:
    """Others are asked meanwhile; when its wait is over, one call tries it, and an answer brings it back."""
    pool = NodePool(StaticNodes([node("a"), node("b")]), clock=lambda: clock.now)
    pool.began("a")
    pool.finished("a", ErrorCategory.CONNECTION)
    assert names(pool.candidates()) == ["b"]
    clock.now += 1
    assert names(pool.candidates()) == ["a", "b"]
    pool.began("a")
    assert names(pool.candidates()) == ["b"]
    pool.finished("a")
    assert names(pool.candidates()) == ["a", "b"]


def test_while_it_is_probed_no_call_tries_a_node_that_is_down(node: Callable[..., NodeProfile], clock: Clock) -> None:
    """The probe does; then it is asked again."""
    pool = NodePool(StaticNodes([node("a")]), clock=lambda: clock.now)
    with pool.being_probed():
        pool.finished("a", ErrorCategory.CONNECTION)
        assert pool.due() == []
        clock.now += 1
        assert (names(pool.candidates()), names(pool.due())) == ([], ["a"])
        pool.report(node("a"), WELL, ServerLoad(slots=2, busy_slots=0))
        assert (names(pool.candidates()), names(pool.due())) == (["a"], [])
        clock.now += 5
        assert names(pool.due()) == ["a"]


class Changing:
    """A registry whose nodes a test exchanges."""

    def __init__(self, *profiles: NodeProfile) -> None:
        self.profiles: Sequence[NodeProfile] = profiles

    def get_profile_for_agent(self, _: str, /) -> NodeProfile | None:
        return None

    def list_profiles(self) -> Sequence[NodeProfile]:
        return self.profiles


def test_the_nodes_may_change(node: Callable[..., NodeProfile]) -> None:
    """What is known of a node goes with it, and one at another address is another one; a mark stays."""
    registry = Changing(node("a"), node("b"), node("c"))
    pool = NodePool(registry)
    for name in names(pool.candidates()):
        pool.began(name)
        pool.finished(name, tokens=100, seconds=1.0)
    pool.mark_node_healthy("c", healthy=False)
    moved = NodeProfile(name="b", endpoint=EndpointSpec(base_url="http://elsewhere:8080"))
    registry.profiles = [moved]
    assert [(name, state.speed) for name, state in pool.states().items()] == [("b", None)]
    registry.profiles = [node("a"), moved, node("c")]
    assert {name: state.speed for name, state in pool.states().items()} == {"a": None, "b": None, "c": 100.0}
    assert names(pool.candidates()) == ["a", "b"]


def test_a_probe_of_the_old_address_says_nothing_of_the_new_one(node: Callable[..., NodeProfile]) -> None:
    """It was under way when the node moved."""
    registry = Changing(node("a"))
    pool = NodePool(registry)
    before = pool.candidates()[0]
    registry.profiles = [NodeProfile(name="a", endpoint=EndpointSpec(base_url="http://elsewhere:8080"))]
    assert names(pool.candidates()) == ["a"]
    pool.report(before, HealthReport(state=HealthState.UNREACHABLE))
    assert names(pool.candidates()) == ["a"]


def test_a_registry_that_fails_fails_no_call(
    node: Callable[..., NodeProfile], caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported once, and the last list goes on."""

    class Failing(Changing):
        fails = False

        def get_profile_for_agent(self, _: str, /) -> NodeProfile | None:
            return self.list_profiles()[0]

        def list_profiles(self) -> Sequence[NodeProfile]:
            if self.fails:
                raise OSError("the inventory is closed")
            return self.profiles

    registry = Failing(node("b"), node("a"))
    pool = NodePool(registry)
    assert names(pool.candidates("planner")) == ["b", "a"]
    registry.fails = True
    for _ in range(3):
        assert names(pool.candidates("planner")) == ["b", "a"]
    assert len(caplog.records) == 1


def test_a_node_may_be_marked_before_it_is_known(node: Callable[..., NodeProfile]) -> None:
    """An operator need not wait for it to come."""
    registry = Changing()
    pool = NodePool(registry)
    pool.mark_node_healthy("a", healthy=False)
    registry.profiles = [node("a")]
    assert pool.plan().excluded[0].why == "marked unhealthy"


def test_threads_lose_no_call(node: Callable[..., NodeProfile]) -> None:
    """Everything that begins in several threads is counted, and so is its end."""
    pool = NodePool(StaticNodes([node("a"), node("b")]))

    def work() -> None:
        for _ in range(200):
            chosen = pool.candidates()[0]
            pool.began(chosen)
            pool.finished(chosen, tokens=10, seconds=1.0)
            pool.began("a")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: state.in_flight for name, state in pool.states().items()} == {"a": 1600, "b": 0}
