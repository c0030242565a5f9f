"""From the settings to the nodes of distributed mode."""

from __future__ import annotations

from avionics.llm.nodes.config_map_nodes import ConfigMapNodes
from avionics.llm.nodes.file_nodes import FileNodes
from avionics.llm.nodes.node_list import profiles_of
from avionics.llm.nodes.pool import NodePool
from avionics.llm.nodes.profile import InferenceEndpointsProtocol
from avionics.llm.nodes.static_nodes import StaticNodes
from avionics.settings import Settings

__all__ = ["node_pool", "nodes_from_settings"]


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


def node_pool(settings: Settings, nodes: InferenceEndpointsProtocol | None = None) -> NodePool | None:
    """The nodes that are asked in distributed mode (`routing.mode`), else None.

    Those of the settings, unless others are given; a pool is taken as it is. Raises `ConfigurationError`.
    """
    if settings.routing.mode != "distributed":
        return None
    if isinstance(nodes, NodePool):
        return nodes
    return NodePool(nodes or nodes_from_settings(settings), health=settings.nodes.health)
