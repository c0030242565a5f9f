"""Nodes from a ConfigMap of Kubernetes, which is watched (extra `kubernetes`).

apiVersion: v1
kind: ConfigMap
metadata: {name: llm-nodes}
data:
  nodes.yaml: |
    nodes:
      left: {base_url: "http://llama-0.llama:8080"}
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import TASK_STATUS_IGNORED, to_thread
from anyio.abc import TaskStatus

from avionics.errors import ConfigurationError
from avionics.llm.nodes.cluster import ConfigMap, ConfigMapContent, check_installed, connected, own_namespace
from avionics.llm.nodes.node_list import LastGoodList, parse_nodes
from avionics.llm.nodes.profile import NodeProfile, node_of_agent
from avionics.settings import ProviderSettings
from avionics.settings.nodes import ConfigMapSettings

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["ConfigMapNodes"]

WorkT = TypeVar("WorkT")

_logger = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0


class ConfigMapNodes:
    """The nodes that a ConfigMap lists, from the moment when `watch` has read it; none before.

    What is wrong with the ConfigMap or the way to it is logged once, and the last good list stays.

    Args:
        settings: which ConfigMap, and where.
        providers: the providers that the settings describe; a node may name one of them.
        connect: gives the client of the cluster; None follows the settings. It is called in a thread.
        first_wait: seconds until the cluster is asked again when it has ended the watch; failures in a row double it,
            up to half a minute.

    Raises `MissingPackageError`.
    """

    def __init__(
        self,
        settings: ConfigMapSettings,
        *,
        providers: Mapping[str, ProviderSettings] | None = None,
        connect: Callable[[], ApiClient] | None = None,
        first_wait: float = _FIRST_WAIT,
    ) -> None:
        if connect is None:
            check_installed()
        self._settings = settings
        self._providers = providers or {}
        self._connect = connect or (lambda: connected(settings.kubeconfig, settings.context))
        self._first_wait = first_wait
        self._list = LastGoodList(f"ConfigMap {settings.name}", _logger)

    @property
    def problem(self) -> str | None:
        """What is wrong with the ConfigMap now, in words; None while it is good, and before it was read."""
        return self._list.problem

    def get_profile_for_agent(self, agent_name: str, /) -> NodeProfile | None:
        """The first node that is kept for an agent."""
        return node_of_agent(agent_name, self._list.profiles)

    def list_profiles(self) -> Sequence[NodeProfile]:
        """All of them, as the ConfigMap listed them last."""
        return self._list.profiles

    async def watch(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Read the ConfigMap, and follow its changes until cancelled. Started when it was read, or could not be."""
        wait = self._first_wait
        while True:
            found = await self._in_thread(self._read)
            task_status.started()
            task_status = TASK_STATUS_IGNORED
            ended_well = found is not None and await self._follow(*found)
            wait = self._first_wait if ended_well else min(_LONGEST_WAIT, 2 * wait)
            await anyio.sleep(wait)

    def _read(self) -> tuple[ConfigMap, str]:
        """Takes what the ConfigMap holds; gives it with its version."""
        settings = self._settings
        config_map = ConfigMap(self._connect(), settings.name, settings.namespace or own_namespace())
        content = config_map.read()
        self._take(content)
        return config_map, content.version

    async def _follow(self, config_map: ConfigMap, version: str) -> bool:
        """Takes what the ConfigMap holds after each change; whether the API ended that in an orderly way."""

        def follow() -> bool:
            for content in config_map.follow(version):
                self._take(content)
            return True

        try:
            return await self._in_thread(follow) or False
        finally:
            config_map.stop()

    async def _in_thread(self, work: Callable[[], WorkT]) -> WorkT | None:
        """What `work` gives; None when it fails, which is told."""
        try:
            return await to_thread.run_sync(work, abandon_on_cancel=True)
        except ConfigurationError as error:
            self._list.keep(error)
        except Exception as error:  # noqa: BLE001 - the client may raise anything, and the nodes go on
            self._list.keep(repr(error))
        return None

    def _take(self, content: ConfigMapContent) -> None:
        """A content that cannot be used does not end the watch: its next change may be good."""
        key = self._settings.key
        try:
            if key not in content.data:
                found = ", ".join(content.data) or "none"
                raise ConfigurationError(f"it has no key {key!r}; its keys are {found}; check nodes.config_map.key")
            self._list.take(parse_nodes(content.data[key], Path(self._settings.name, key), self._providers))
        except ConfigurationError as error:
            self._list.keep(error)
