"""Which node is asked first, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.endpoints import ServerLoad
from airframe.types import Message
from avionics.llm.nodes import NodeProfile, NodeState, RequestFacts, affinity_key, rank
from avionics.llm.nodes.affinity import by_affinity
from avionics.llm.nodes.score import WEIGHTS
from avionics.settings.nodes import NodeHealthSettings

HEALTH = NodeHealthSettings()
NOW = 100.0


def state_of(
    *,
    in_flight: int = 0,
    slots: int | None = None,
    busy: int | None = None,
    waiting: int | None = None,
    loaded: tuple[str, ...] | None = None,
    speed: float | None = None,
) -> NodeState:
    return NodeState(
        in_flight=in_flight,
        in_flight_then=in_flight,
        load=ServerLoad(slots=slots, busy_slots=busy, waiting=waiting, loaded_models=loaded),
        reported_at=NOW,
        speed=speed,
        measured_at=NOW,
    )


def order(nodes: Sequence[NodeProfile], states: Mapping[str, NodeState], facts: RequestFacts) -> list[str]:
    return [each.node.name for each in rank(nodes, facts, states, NOW, HEALTH)]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (state_of(loaded=("m",), slots=2, busy=2), state_of(loaded=("other",), slots=2, busy=0)),
        (state_of(slots=2, busy=1, speed=1.0), state_of(slots=2, busy=2, speed=100.0)),
        (state_of(loaded=("m",)), state_of()),
        (state_of(), state_of(loaded=("other",))),
        (state_of(slots=2, busy=1), state_of()),
        (state_of(), state_of(slots=2, busy=2)),
        (state_of(slots=4, busy=1), state_of(slots=4, busy=3)),
        (state_of(slots=1, busy=1, waiting=1), state_of(slots=1, busy=1, waiting=5)),
        (state_of(in_flight=1), state_of(in_flight=3)),
        (state_of(slots=8, busy=4, speed=20.0), state_of(slots=2, busy=1, speed=5.0)),
        (state_of(speed=40.0), state_of(speed=10.0)),
    ],
    ids=[
        "the model before the slot",
        "the slot before the speed",
        "loaded before unknown",
        "unknown before not loaded",
        "a free slot before unknown",
        "unknown before no free slot",
        "fewer requests",
        "the shorter queue",
        "fewer of our own calls",
        "equally busy",
        "the faster one",
    ],
)
def test_the_order_of_the_terms(node: Callable[..., NodeProfile], better: NodeState, worse: NodeState) -> None:
    """Model, slot, queue, speed, in this order; what is unknown stands between yes and no."""
    nodes = [node("worse"), node("better")]
    assert order(nodes, {"better": better, "worse": worse}, RequestFacts(model="m")) == ["better", "worse"]


def test_a_node_of_the_agent_comes_before_all(node: Callable[..., NodeProfile]) -> None:
    """Kept for it, or named by the registry, even if it has to load the model first."""
    nodes = [node("free"), node("kept", agents=("planner",))]
    states = {"free": state_of(loaded=("m",), slots=4, busy=0), "kept": state_of(loaded=(), slots=1, busy=1)}
    assert order(nodes, states, RequestFacts(agent_name="planner", model="m")) == ["kept", "free"]
    assert order(nodes, states, RequestFacts(own="kept")) == ["kept", "free"]


def test_what_is_equal_keeps_the_order_of_the_registry(node: Callable[..., NodeProfile]) -> None:
    """Those to be preferred stand first there."""
    assert order([node("b"), node("a")], {}, RequestFacts()) == ["b", "a"]


def test_a_higher_term_outweighs_all_below_it() -> None:
    """Half of its weight, which unknown is worth, is more than all lower ones together; queue and speed are a pair."""
    weights = list(WEIGHTS.values())
    for position in range(3):
        assert weights[position] / 2 > sum(weights[position + 1 :])
    assert WEIGHTS["prefix"] > WEIGHTS["queue"] + WEIGHTS["speed"]


def test_the_score_is_explained(node: Callable[..., NodeProfile]) -> None:
    """Each term with its value and its reason; their points are the score."""
    (ranked,) = rank(
        [node("a", slots=2)], RequestFacts(model="m"), {"a": state_of(in_flight=1, loaded=("m",))}, NOW, HEALTH
    )
    assert [(term.name, term.value, term.why) for term in ranked.reasons] == [
        ("own", 0.0, "for everybody"),
        ("model", 1.0, "m is loaded"),
        ("slot", 1.0, "1 of 2 slots free"),
        ("prefix", 0.0, "nothing is to meet the same node"),
        ("queue", pytest.approx(2 / 3), "1 requests there"),
        ("speed", 1.0, "not measured"),
    ]
    assert ranked.score == pytest.approx(1000 + 100 + 10 * 2 / 3 + 1)


@pytest.mark.parametrize(
    ("asked", "loaded"),
    [
        ("llama3", "llama3:latest"),
        ("llama3:latest", "llama3"),
        ("qwen3-8b", "/models/qwen3-8b.gguf"),
        ("qwen3-8b", r"C:\models\qwen3-8b.gguf"),
        ("org/model", "org/model"),
    ],
)
def test_servers_name_models_in_their_own_way(node: Callable[..., NodeProfile], asked: str, loaded: str) -> None:
    """Ollama's tag and llama-server's file name mean the model that was asked for."""
    states = {"there": state_of(loaded=(loaded,)), "elsewhere": state_of(loaded=("other",))}
    assert order([node("elsewhere"), node("there")], states, RequestFacts(model=asked))[0] == "there"


class TestAffinity:
    """The same beginning meets the same node."""

    def test_a_key_stays_unless_its_node_is_crowded(self, node: Callable[..., NodeProfile]) -> None:
        """A free slot is enough to stay, whoever is faster or idle; without one, and with more than its share, not."""
        nodes = [node(name, slots=2) for name in "abc"]
        facts = RequestFacts(affinity_key="k")
        home, second, _ = (each.name for each in by_affinity(nodes, "k"))
        idle = {name: state_of(busy=0, speed=50.0) for name in "abc"}
        assert order(nodes, {**idle, home: state_of(busy=1, speed=10.0)}, facts)[0] == home
        assert order(nodes, {**idle, home: state_of(busy=2)}, facts)[0] == second
        full = {name: state_of(busy=2, waiting=2) for name in "abc"}
        assert order(nodes, full, facts)[0] == home
        assert order(nodes, {**full, home: state_of(busy=2, waiting=5)}, facts)[0] == second

    @given(st.sets(st.text(min_size=1, max_size=8), min_size=2, max_size=6), st.text())
    def test_only_the_keys_of_a_lost_node_move(self, names: set[str], key: str) -> None:
        """The others keep their order, so prompt caches stay warm."""
        from airframe.endpoints import EndpointSpec

        nodes = [NodeProfile(name=name, endpoint=EndpointSpec(base_url="http://h:1")) for name in names]
        first, *others = by_affinity(nodes, key)
        assert by_affinity([each for each in nodes if each is not first], key) == others

    def test_a_node_of_twice_the_weight_has_twice_the_keys(self, node: Callable[..., NodeProfile]) -> None:
        """Within what chance allows with three thousand keys."""
        nodes = [node("light"), node("heavy", weight=2.0)]
        keys = Counter(by_affinity(nodes, str(number))[0].name for number in range(3000))
        assert 1850 < keys["heavy"] < 2150

    def test_a_conversation_keeps_its_key(self) -> None:
        """What is said after the user's first turn changes nothing; another beginning is another key."""
        begun = [Message("system", "You are terse."), Message("user", "Hi")]
        later = [*begun, Message("assistant", "Hello"), Message("user", "Why?")]
        assert affinity_key(begun) == affinity_key(later)
        assert affinity_key(begun) != affinity_key([Message("system", "You are terse."), Message("user", "Ho")])
        assert affinity_key(begun, conversation_id="7") == affinity_key(later[2:], conversation_id="7")

    def test_a_long_common_beginning_is_one_key(self) -> None:
        """Prompts that share their first four kilobytes share what a node has read."""
        manual = Message("system", "x" * 5000)
        assert affinity_key([manual, Message("user", "a")]) == affinity_key([manual, Message("user", "b")])


def test_weight_shares_out_the_work(node: Callable[..., NodeProfile]) -> None:
    """With two calls there, a node of weight 3 is emptier than one of weight 1 with one."""
    nodes = [node("light"), node("heavy", weight=3.0)]
    assert order(nodes, {"light": state_of(in_flight=1), "heavy": state_of(in_flight=2)}, RequestFacts())[0] == "heavy"


def test_a_model_by_the_settings_counts_until_the_node_says_otherwise(node: Callable[..., NodeProfile]) -> None:
    """`endpoint.model` is what it has loaded; a probe knows better."""
    named = node("named", model="m")
    assert order([node("other"), named], {}, RequestFacts(model="m")) == ["named", "other"]
    said = {"named": state_of(loaded=("else",))}
    assert order([node("other"), named], said, RequestFacts(model="m")) == ["other", "named"]
    renamed = replace(named, name="again")
    assert rank([renamed], RequestFacts(), {}, NOW, HEALTH)[0].reasons[1].why == "has m by the settings"
