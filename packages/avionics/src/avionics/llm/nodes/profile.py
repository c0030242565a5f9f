"""Inference nodes: servers of one's own that are asked for an agent in place of its provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from airframe.endpoints import EndpointSpec
from avionics.llm.nodes.model_names import is_among

__all__ = ["InferenceEndpointsProtocol", "NodeProfile", "node_of_agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProfile:
    """One node: its name, where it is called, and whom and what it is for.

    Attributes:
        name: what it is called; no two nodes have the same name.
        endpoint: where it is called. `endpoint.model` is what it has loaded; None leaves it to the node.
            `endpoint.capacity.slots` is how many requests it works on at once; None is unknown.
        provider: the name of the settings that say how it is asked; None is the agent's own provider.
        agents: for whom it is kept; empty is for everybody.
        models: what it can be asked for; empty is any model.
        labels: what it is, in the words of those who run it.
        weight: how much of the work it is given, compared to the others.
    """

    name: str
    endpoint: EndpointSpec
    provider: str | None = None
    agents: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    weight: float = 1.0

    def serves(self, agent_name: str | None) -> bool:
        """Whether it may be asked for an agent; None is a call for no agent."""
        return not self.agents or agent_name in self.agents

    def offers(self, model: str | None) -> bool:
        """Whether it may be asked for a model; None is whichever it has."""
        return model is None or not self.models or is_among(model, self.models)


@runtime_checkable
class InferenceEndpointsProtocol(Protocol):
    """Knows the nodes, and which of them an agent should use."""

    def get_profile_for_agent(self, agent_name: str, /) -> NodeProfile | None:
        """The node for an agent; None when it has none of its own."""
        ...

    def list_profiles(self) -> Sequence[NodeProfile]:
        """All nodes, those to be preferred first."""
        ...


def node_of_agent(agent_name: str, profiles: Sequence[NodeProfile]) -> NodeProfile | None:
    """The first node that is kept for an agent; None when it has none of its own."""
    return next((profile for profile in profiles if agent_name in profile.agents), None)
