"""Whether nodes are asked at all. Who asks none loads nothing of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avionics.settings import Settings

if TYPE_CHECKING:
    from avionics.llm.nodes.pool import NodePool
    from avionics.llm.nodes.profile import InferenceEndpointsProtocol

__all__ = ["node_pool"]


def node_pool(settings: Settings, nodes: InferenceEndpointsProtocol | None = None) -> NodePool | None:
    """The nodes that are asked in distributed mode (`routing.mode`), else None.

    Those of the settings, unless others are given; a pool is taken as it is. Raises `ConfigurationError`.
    """
    if settings.routing.mode != "distributed":
        return None
    from avionics.llm.nodes.configured_nodes import nodes_from_settings
    from avionics.llm.nodes.pool import NodePool

    if isinstance(nodes, NodePool):
        return nodes
    return NodePool(nodes or nodes_from_settings(settings), health=settings.nodes.health)
