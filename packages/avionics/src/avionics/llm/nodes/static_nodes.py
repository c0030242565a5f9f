"""Nodes that do not change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from avionics.errors import ConfigurationError
from avionics.llm.nodes.profile import NodeProfile, node_of_agent

__all__ = ["StaticNodes"]


class StaticNodes:
    """The nodes that are given, those to be preferred first. Raises `ConfigurationError` for two of the same name."""

    def __init__(self, profiles: Iterable[NodeProfile] = ()) -> None:
        self._profiles = tuple(profiles)
        names = [profile.name for profile in self._profiles]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigurationError(f"several nodes are called {', '.join(sorted(twice))}; give each its own name")

    def get_profile_for_agent(self, agent_name: str, /) -> NodeProfile | None:
        """The first node that is kept for an agent."""
        return node_of_agent(agent_name, self._profiles)

    def list_profiles(self) -> Sequence[NodeProfile]:
        """All of them."""
        return self._profiles
