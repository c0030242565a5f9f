"""Which node is asked first: a sum of few terms, each between 0 and 1, times its weight. Pure.

    own      10000   the node is kept for the agent
    model     1000   the model is loaded there
    slot       100   a slot is free
    prefix      30   the conversation, or the beginning of the prompt, belongs to the node
    queue       10   how little is to be done there: 1 / (1 + requests for each slot and weight)
    speed        1   tokens a second, of those of the fastest

What is unknown of a model or slot counts half. A speed that was not measured counts whole, or it never would be. The
weights are so far apart that a term decides only between nodes that are equal in all above it; queue and speed alone
are weighed against each other. What is equal in everything keeps the order of the registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from avionics.llm.nodes.affinity import by_affinity
from avionics.llm.nodes.model_names import is_among
from avionics.llm.nodes.profile import NodeProfile
from avionics.llm.nodes.state import NodeState
from avionics.settings.nodes import NodeHealthSettings

__all__ = ["WEIGHTS", "RankedNode", "RequestFacts", "Term", "rank"]

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"own": 10_000.0, "model": 1_000.0, "slot": 100.0, "prefix": 30.0, "queue": 10.0, "speed": 1.0}
)
"""How much each term counts."""

_UNKNOWN = 0.5

_CROWDED = 1.25
"""A node with no free slot and so many times the mean work for a slot does not get the conversations that belong to it:
consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2017).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What is asked, as far as it matters to the choice.

    Attributes:
        agent_name: for whom; None is for no agent.
        model: which model; None is whichever the node has.
        affinity_key: equal for calls that should meet the same node (`affinity_key`); None has no wish.
        labels: what the node must be.
        own: the name of the node that the registry has for the agent, if it has one.
    """

    agent_name: str | None = None
    model: str | None = None
    affinity_key: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    own: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A part of a score: `value` between 0 and 1, and why, in words."""

    name: str
    value: float
    why: str

    @property
    def points(self) -> float:
        """What it adds to the score."""
        return WEIGHTS[self.name] * self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedNode:
    """A node with its score, term by term."""

    node: NodeProfile
    reasons: tuple[Term, ...]

    @property
    def score(self) -> float:
        """The sum of its terms."""
        return sum(term.points for term in self.reasons)


def rank(
    nodes: Sequence[NodeProfile],
    facts: RequestFacts,
    states: Mapping[str, NodeState],
    now: float,
    health: NodeHealthSettings,
) -> list[RankedNode]:
    """The nodes, the one to be asked first at the beginning. `states` is by name; a node without one is unknown."""
    views = [_View(node, states.get(node.name, NodeState()), now, health) for node in nodes]
    home = _home(views, facts.affinity_key)
    fastest = max((view.speed for view in views if view.speed is not None), default=None)
    ranked = [
        RankedNode(
            node=view.node,
            reasons=(
                _own(view.node, facts),
                _model(view, facts.model),
                _slot(view),
                _prefix(view, home, facts.affinity_key),
                _queue(view),
                _speed(view, fastest),
            ),
        )
        for view in views
    ]
    return sorted(ranked, key=lambda each: each.score, reverse=True)


class _View:
    """A node as it is now."""

    def __init__(self, node: NodeProfile, state: NodeState, now: float, health: NodeHealthSettings) -> None:
        load = state.load_at(now, health)
        self.node = node
        self.loaded_models = load.loaded_models
        self.slots = load.slots or node.endpoint.capacity.slots
        self.work = state.work_at(now, health)
        self.speed = state.speed_at(now, health)

    @property
    def free_slots(self) -> int | None:
        return None if self.slots is None else max(0, self.slots - self.work)

    @property
    def crowding(self) -> float:
        """Requests for each slot and weight."""
        return self.work / (self.slots or 1) / self.node.weight


def _home(views: Sequence[_View], key: str | None) -> str | None:
    """The name of the node that a key belongs to, if it is not crowded: else the next one in the order of the key."""
    if key is None or not views:
        return None
    mean = sum(view.crowding for view in views) / len(views)
    roomy = [view.node for view in views if view.free_slots or view.crowding <= _CROWDED * mean]
    return by_affinity(roomy, key)[0].name if roomy else None


def _own(node: NodeProfile, facts: RequestFacts) -> Term:
    is_own = facts.agent_name in node.agents or node.name == facts.own
    return Term(name="own", value=float(is_own), why="kept for the agent" if is_own else "for everybody")


def _model(view: _View, model: str | None) -> Term:
    wanted, loaded = model or view.node.endpoint.model, view.loaded_models
    if loaded is None and wanted is not None and wanted == view.node.endpoint.model:
        return Term(name="model", value=1.0, why=f"has {wanted} by the settings")
    if loaded is None:
        return Term(name="model", value=_UNKNOWN, why="does not say what is loaded")
    if wanted is None:
        return Term(name="model", value=float(bool(loaded)), why="a model is loaded" if loaded else "none is loaded")
    there = is_among(wanted, loaded)
    return Term(name="model", value=float(there), why=f"{wanted} is {'' if there else 'not '}loaded")


def _slot(view: _View) -> Term:
    free = view.free_slots
    if free is None:
        return Term(name="slot", value=_UNKNOWN, why="does not say how many slots it has")
    return Term(name="slot", value=float(free > 0), why=f"{free} of {view.slots} slots free")


def _prefix(view: _View, home: str | None, key: str | None) -> Term:
    if key is None:
        return Term(name="prefix", value=0.0, why="nothing is to meet the same node")
    at_home = view.node.name == home
    return Term(name="prefix", value=float(at_home), why="the prompt belongs here" if at_home else "belongs elsewhere")


def _queue(view: _View) -> Term:
    return Term(name="queue", value=1 / (1 + view.crowding), why=f"{view.work} requests there")


def _speed(view: _View, fastest: float | None) -> Term:
    if view.speed is None or not fastest:
        return Term(name="speed", value=1.0, why="not measured")
    return Term(name="speed", value=view.speed / fastest, why=f"{view.speed:.1f} tokens/s")
