"""Inference nodes: servers of one's own that are asked for an agent in place of its provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from airframe.endpoints import EndpointSpec

__all__ = ["InferenceEndpointsProtocol", "NodeProfile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProfile:
    """One node: its name, and where it is called. `endpoint.model` is what it has loaded; None leaves it to the node.

    `provider` is the name of the settings that say how it is asked; None is the agent's own provider.
    """

    name: str
    endpoint: EndpointSpec
    provider: str | None = None


@runtime_checkable
class InferenceEndpointsProtocol(Protocol):
    """Knows the nodes, and which of them an agent should use."""

    def get_profile_for_agent(self, agent_name: str, /) -> NodeProfile | None:
        """The node for an agent; None when it has none of its own."""
        ...

    def list_profiles(self) -> Sequence[NodeProfile]:
        """All nodes, those to be preferred first."""
        ...
