"""Inference nodes: where they are listed, what is known of each, and which is asked first."""

from typing import TYPE_CHECKING

from avionics._lazy_names import loader

if TYPE_CHECKING:
    from avionics.llm.nodes.affinity import affinity_key
    from avionics.llm.nodes.config_map_nodes import ConfigMapNodes
    from avionics.llm.nodes.configured_nodes import nodes_from_settings
    from avionics.llm.nodes.distributed_mode import node_pool
    from avionics.llm.nodes.file_nodes import FileNodes
    from avionics.llm.nodes.pool import ExcludedNode, NodePlan, NodePool
    from avionics.llm.nodes.prober import NodeProber, WatchedNodes, keep_current
    from avionics.llm.nodes.profile import InferenceEndpointsProtocol, NodeProfile
    from avionics.llm.nodes.score import RankedNode, RequestFacts, Term, rank
    from avionics.llm.nodes.state import NodeState
    from avionics.llm.nodes.static_nodes import StaticNodes
else:
    __getattr__ = loader(
        __name__,
        {
            "avionics.llm.nodes.affinity": ("affinity_key",),
            "avionics.llm.nodes.config_map_nodes": ("ConfigMapNodes",),
            "avionics.llm.nodes.configured_nodes": ("nodes_from_settings",),
            "avionics.llm.nodes.distributed_mode": ("node_pool",),
            "avionics.llm.nodes.file_nodes": ("FileNodes",),
            "avionics.llm.nodes.pool": ("ExcludedNode", "NodePlan", "NodePool"),
            "avionics.llm.nodes.prober": ("NodeProber", "WatchedNodes", "keep_current"),
            "avionics.llm.nodes.profile": ("InferenceEndpointsProtocol", "NodeProfile"),
            "avionics.llm.nodes.score": ("RankedNode", "RequestFacts", "Term", "rank"),
            "avionics.llm.nodes.state": ("NodeState",),
            "avionics.llm.nodes.static_nodes": ("StaticNodes",),
        },
    )

__all__ = [
    "ConfigMapNodes",
    "ExcludedNode",
    "FileNodes",
    "InferenceEndpointsProtocol",
    "NodePlan",
    "NodePool",
    "NodeProber",
    "NodeProfile",
    "NodeState",
    "RankedNode",
    "RequestFacts",
    "StaticNodes",
    "Term",
    "WatchedNodes",
    "affinity_key",
    "keep_current",
    "node_pool",
    "nodes_from_settings",
    "rank",
]


def __dir__() -> list[str]:
    return sorted(__all__)
