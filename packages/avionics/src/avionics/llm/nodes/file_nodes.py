"""Nodes from a file that may change while the program runs.

nodes:
  left: {base_url: "http://10.0.0.7:8080", agents: [planner]}
  right: {base_url: "http://10.0.0.8:11434", kind: ollama}
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED, to_thread
from anyio.abc import TaskStatus

from avionics.errors import ConfigurationError
from avionics.llm.nodes.node_list import LastGoodList, parse_nodes
from avionics.llm.nodes.profile import NodeProfile, node_of_agent
from avionics.settings import ProviderSettings

__all__ = ["FileNodes"]

_logger = logging.getLogger(__name__)


class FileNodes:
    """The nodes that a YAML or JSON file lists. It is read again when somebody asks, or all the time by `watch`.

    The content decides whether it has changed: so it does not matter whether it is written in place, replaced, or
    reached by way of a symbolic link that is turned (as Kubernetes mounts a ConfigMap), and how fine the file system
    counts time. Replace it by renaming, so that nobody reads half of it. A file that cannot be used, or is gone, is
    logged once, and the last good list stays.

    Args:
        path: the file.
        providers: the providers that the settings describe; a node may name one of them.
        interval: seconds between two looks at it.
        clock: the time in seconds, for looks that somebody's question causes.

    Raises `ConfigurationError` when it cannot be used at the beginning.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        providers: Mapping[str, ProviderSettings] | None = None,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path)
        self._providers = providers or {}
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._watchers = 0
        self._list = LastGoodList(str(self.path), _logger)
        self._content = self._read()
        self._list.take(parse_nodes(self._content, self.path, self._providers))
        self._looked_at = clock()

    @property
    def problem(self) -> str | None:
        """What is wrong with the file now, in words; None while it is good."""
        return self._list.problem

    def get_profile_for_agent(self, agent_name: str, /) -> NodeProfile | None:
        """The first node that is kept for an agent."""
        return node_of_agent(agent_name, self.list_profiles())

    def list_profiles(self) -> Sequence[NodeProfile]:
        """All of them, as the file listed them within the last `interval`."""
        if not self._watchers and self._clock() - self._looked_at >= self._interval:
            self.refresh()
        return self._list.profiles

    def refresh(self) -> None:
        """Look at the file now. Never raises: what is wrong with it is `problem`."""
        with self._lock:
            self._looked_at = self._clock()
            try:
                content = self._read()
                if content == self._content and self.problem is None:
                    return
                self._list.take(parse_nodes(content, self.path, self._providers))
                self._content = content
            except ConfigurationError as error:
                self._list.keep(error)

    async def watch(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look at the file every `interval`, in a thread, until cancelled; who asks for nodes then reads nothing."""
        self._watchers += 1
        try:
            task_status.started()
            while True:
                await to_thread.run_sync(self.refresh, abandon_on_cancel=True)
                await anyio.sleep(self._interval)
        finally:
            self._watchers -= 1

    def _read(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{self.path}: the list of nodes cannot be read: {error.strerror}; check nodes.file"
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{self.path}: the list of nodes is not UTF-8 text; save it as UTF-8") from None
