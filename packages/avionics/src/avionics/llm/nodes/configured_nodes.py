"""From the settings to the registry of nodes."""

from __future__ import annotations

from avionics.llm.nodes.config_map_nodes import ConfigMapNodes
from avionics.llm.nodes.file_nodes import FileNodes
from avionics.llm.nodes.node_list import profiles_of
from avionics.llm.nodes.profile import InferenceEndpointsProtocol
from avionics.llm.nodes.static_nodes import StaticNodes
from avionics.settings import Settings

__all__ = ["nodes_from_settings"]


def nodes_from_settings(settings: Settings) -> InferenceEndpointsProtocol:
    """The registry that the section `nodes` describes: of a file, of a ConfigMap, or of what is listed there.

    Raises `ConfigurationError`.
    """
    nodes, providers = settings.nodes, settings.providers
    if nodes.file is not None:
        return FileNodes(nodes.file, providers=providers, interval=nodes.refresh)
    if nodes.config_map is not None:
        return ConfigMapNodes(nodes.config_map, providers=providers)
    return StaticNodes(profiles_of(nodes.members, providers, path="nodes.members"))
