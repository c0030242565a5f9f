"""Inference nodes: servers of one's own, which are asked in distributed mode.

routing: {mode: distributed}
nodes:
  members:
    left: {base_url: "http://10.0.0.7:8080", agents: [planner]}
    right: {base_url: "http://10.0.0.8:11434", kind: ollama, models: [llama3.2]}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from avionics.settings.providers import EndpointSettings
from avionics.settings.section import Count, Name, Seconds, Section, Url

__all__ = ["ConfigMapSettings", "NodeHealthSettings", "NodeList", "NodeSettings", "NodesSettings"]

NodeName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""The name of a node, such as that of a host or a pod."""


class NodeSettings(EndpointSettings, frozen=True):
    """One node. Its key is its own: that of a provider is not sent to it."""

    base_url: Url = Field(...)
    """Where it is found."""
    kind: Name | None = None
    """What kind of server it is; None is that of its provider, without one `llama_server`."""
    provider: Name | None = None
    """The provider that says how it is asked; None is the usual one of its kind."""
    agents: tuple[Name, ...] = ()
    """For whom it is kept; nobody named is for everybody."""
    models: tuple[Name, ...] = ()
    """The models that it can be asked for; none named is for any."""
    labels: Mapping[str, str] = Field(default_factory=dict[str, str])
    """What it is, in one's own words, such as `{gpu: h100, zone: north}`."""
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0
    """How much of the work it is given, compared to the others."""
    slots: Count | None = None
    """How many requests it works on at once, where it does not say so itself."""
    context_window: Count | None = None
    """Tokens of context, where it does not say so itself."""


class NodeList(Section, frozen=True):
    """What a file or a ConfigMap with nodes holds."""

    nodes: Mapping[NodeName, NodeSettings]
    """The nodes by name, those to be preferred first."""


class ConfigMapSettings(Section, frozen=True):
    """A ConfigMap of Kubernetes with a list of nodes (extra `kubernetes`)."""

    name: Name
    """The name of the ConfigMap."""
    namespace: Name | None = None
    """Where it is; None is the pod's own namespace, outside of a cluster `default`."""
    key: Name = "nodes.yaml"
    """Under which key the list stands."""
    kubeconfig: Path | None = None
    """The file that says how the cluster is reached; None is the pod's own account, else the usual file."""
    context: Name | None = None
    """The context in that file; None is its current one."""


class NodeHealthSettings(Section, frozen=True):
    """When a node is asked how it is, and when it counts as down. Times in seconds."""

    interval: Seconds | None = 5.0
    """The time between two probes of a node that is up; None probes nobody."""
    failures: Count = 3
    """How many failed calls in a row take a node down. One that refuses connections is down at once."""
    first_wait: Seconds = 1.0
    """How long a node that went down is left alone; each further time in a row doubles it."""
    longest_wait: Seconds = 30.0
    """The longest that it is left alone."""
    report_lifetime: Seconds = 15.0
    """How long what a node said of its slots and models is believed."""
    speed_lifetime: Seconds = 300.0
    """How long a measured speed is believed; then the node is tried anew."""


class NodesSettings(Section, frozen=True):
    """The nodes of distributed mode: listed here, in a file, or in a ConfigMap."""

    members: Mapping[NodeName, NodeSettings] = Field(default_factory=dict[str, NodeSettings])
    """The nodes by name, those to be preferred first."""
    file: Path | None = None
    """A YAML or JSON file with a list of nodes, which is read again when it changes."""
    config_map: ConfigMapSettings | None = None
    """A ConfigMap with a list of nodes, which is watched."""
    refresh: Seconds = 1.0
    """How often the file is looked at."""
    health: NodeHealthSettings = NodeHealthSettings()
    """When a node counts as down, and when it is asked again."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        stated = [name for name in ("members", "file", "config_map") if getattr(self, name)]
        if len(stated) > 1:
            raise ValueError(f"{' and '.join(stated)} are given, and nodes come from one of them; keep one")
        return self
