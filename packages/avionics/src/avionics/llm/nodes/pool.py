"""The nodes as a caller needs them: whom to ask for a call, best first, and a place to tell how it went."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from airframe.endpoints import EndpointSpec, HealthReport, ServerLoad
from airframe.errors import ErrorCategory
from avionics.llm.nodes import state as transition
from avionics.llm.nodes.profile import InferenceEndpointsProtocol, NodeProfile
from avionics.llm.nodes.score import RankedNode, RequestFacts, rank
from avionics.llm.nodes.state import NodeState, why_not
from avionics.llm.observation import FaultLog
from avionics.settings.nodes import NodeHealthSettings

__all__ = ["ExcludedNode", "NodePlan", "NodePool"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludedNode:
    """A node that is not asked, and why, in words."""

    node: NodeProfile
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """Who is asked for a call, best first, with the terms of the score, and who is not."""

    ranked: tuple[RankedNode, ...] = ()
    excluded: tuple[ExcludedNode, ...] = ()

    @property
    def nodes(self) -> tuple[NodeProfile, ...]:
        """The nodes to ask, best first."""
        return tuple(each.node for each in self.ranked)


class NodePool:
    """The nodes of a registry with what is known of each. Safe to use from several threads; never waits.

    A registry that fails is reported once, and the nodes that it listed last go on.

    It is a registry too: the node for an agent is the best one, and none where its own provider should be asked.

    Args:
        nodes: the registry.
        health: when a node counts as down.
        clock: the time in seconds; it must not go back.
    """

    def __init__(
        self,
        nodes: InferenceEndpointsProtocol,
        *,
        health: NodeHealthSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry = nodes
        self.health = health or NodeHealthSettings()
        self.clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[EndpointSpec | None, NodeState]] = {}
        self._listed: Sequence[NodeProfile] = ()
        self._faults = FaultLog(_logger)
        self._probers = 0

    @classmethod
    def of(cls, nodes: InferenceEndpointsProtocol) -> NodePool:
        """A pool of these nodes; `nodes` itself if it is one."""
        return nodes if isinstance(nodes, NodePool) else cls(nodes)

    def candidates(
        self,
        agent_name: str | None = None,
        model: str | None = None,
        affinity_key: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Sequence[NodeProfile]:
        """The nodes to ask for a call, best first; arguments as for `plan`."""
        return self.plan(agent_name, model, affinity_key, labels).nodes

    def plan(
        self,
        agent_name: str | None = None,
        model: str | None = None,
        affinity_key: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> NodePlan:
        """The same with the reasons. Nothing is sent and nothing changes.

        Args:
            agent_name: for whom; None is for no agent.
            model: which model; None is whichever a node has.
            affinity_key: equal for calls that should meet the same node, see `affinity_key`.
            labels: what the node must be.
        """
        own = self._own_node(agent_name)
        facts = RequestFacts(
            agent_name=agent_name,
            model=model,
            affinity_key=affinity_key,
            labels=labels or {},
            own=own.name if own else None,
        )
        now, profiles = self.clock(), self._profiles(own)
        states, probed = self._states(profiles), self._probers > 0
        fit: list[NodeProfile] = []
        excluded: list[ExcludedNode] = []
        for node in profiles:
            if why := _unfit(node, facts) or why_not(states[node.name], now, probed=probed):
                excluded.append(ExcludedNode(node=node, why=why))
            else:
                fit.append(node)
        return NodePlan(ranked=tuple(rank(fit, facts, states, now, self.health)), excluded=tuple(excluded))

    def get_profile_for_agent(self, agent_name: str, /) -> NodeProfile | None:
        """The best node for an agent now; None when none can be asked."""
        return next(iter(self.candidates(agent_name)), None)

    def list_profiles(self) -> Sequence[NodeProfile]:
        """All nodes, in the order of the registry."""
        return self._profiles()

    def states(self) -> Mapping[str, NodeState]:
        """What is known of each node now, by name."""
        return self._states(self._profiles())

    def mark_node_healthy(self, name: str, healthy: bool = True) -> None:
        """From now on, ask this node again, or no longer; also one that the registry will know only later."""
        self._change(name, lambda state: transition.marked(state, healthy=healthy))

    def began(self, node: NodeProfile | str) -> None:
        """A call is sent to a node. `finished` has to follow, however the call ends."""
        self._change(_name(node), transition.began)

    def finished(
        self,
        node: NodeProfile | str,
        category: ErrorCategory | None = None,
        *,
        tokens: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """A call has ended.

        Args:
            node: where it was sent.
            category: that of its failure; None is an answer.
            tokens: how many the node wrote; None is unknown.
            seconds: how long it wrote, or the whole call took where that is not known.
        """
        now = self.clock()
        self._change(
            _name(node),
            lambda state: transition.ended(state, category, now, self.health, tokens=tokens, seconds=seconds),
        )

    # -- for those who probe

    def due(self) -> Sequence[NodeProfile]:
        """The nodes that are to be probed now."""
        now, profiles = self.clock(), self._profiles()
        states = self._states(profiles)
        return [node for node in profiles if (states[node.name].probe_at or now) <= now]

    def report(self, node: NodeProfile, health: HealthReport, load: ServerLoad | None = None) -> None:
        """A probe has found this; `load` is None where nobody asked for it. It says nothing of another address."""
        now = self.clock()
        with self._lock:
            endpoint, state = self._known.get(node.name, (node.endpoint, NodeState()))
            if endpoint is None or endpoint == node.endpoint:
                self._known[node.name] = (node.endpoint, transition.probed(state, health, load, now, self.health))

    @contextmanager
    def being_probed(self) -> Generator[None]:
        """As long as the context is open, nodes that are down are tried again by probes, and not by calls."""
        with self._lock:
            self._probers += 1
        try:
            yield
        finally:
            with self._lock:
                self._probers -= 1

    def _profiles(self, *more: NodeProfile | None) -> Sequence[NodeProfile]:
        """Those of the registry; the one that it has for an agent need not be in its list."""
        listed = self._faults.contained("the registry of nodes", self.registry.list_profiles)
        if listed is None:
            listed = self._listed
        self._listed = listed
        return list({node.name: node for node in (*filter(None, more), *listed)}.values())

    def _own_node(self, agent_name: str | None) -> NodeProfile | None:
        if agent_name is None:
            return None
        return self._faults.contained("the registry of nodes", lambda: self.registry.get_profile_for_agent(agent_name))

    def _states(self, profiles: Sequence[NodeProfile]) -> dict[str, NodeState]:
        """The states of these nodes. A node that is found elsewhere than before is another one."""
        states: dict[str, NodeState] = {}
        with self._lock:
            for node in profiles:
                endpoint, state = self._known.get(node.name, (None, NodeState()))
                if endpoint is not None and endpoint != node.endpoint:
                    state = NodeState(marked=state.marked)
                self._known[node.name] = (node.endpoint, state)
                states[node.name] = state
            for name in self._known.keys() - states.keys():
                _, state = self._known[name]
                if not state.in_flight and not state.marked:
                    del self._known[name]
        return states

    def _change(self, name: str, change: Callable[[NodeState], NodeState]) -> None:
        with self._lock:
            endpoint, state = self._known.get(name, (None, NodeState()))
            self._known[name] = (endpoint, change(state))


def _unfit(node: NodeProfile, facts: RequestFacts) -> str | None:
    """Why a node cannot serve a call, whatever its state."""
    if node.name != facts.own and not node.serves(facts.agent_name):
        return f"kept for {', '.join(node.agents)}"
    if not node.offers(facts.model):
        return f"has no model {facts.model}; it has {', '.join(node.models)}"
    if missing := [name for name, value in facts.labels.items() if node.labels.get(name) != value]:
        return f"its labels differ: {', '.join(missing)}"
    return None


def _name(node: NodeProfile | str) -> str:
    return node if isinstance(node, str) else node.name
