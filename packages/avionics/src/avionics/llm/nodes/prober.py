"""Asking nodes how they are, in the background."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from airframe.adapters import Adapter
from airframe.endpoints import HealthReport, HealthState, ServerLoad
from airframe.errors import AirframeError
from airframe.registry import create_adapter
from avionics.llm.nodes.pool import NodePool
from avionics.llm.nodes.profile import NodeProfile

__all__ = ["NodeProber", "WatchedNodes", "keep_current"]

_logger = logging.getLogger(__name__)

_HEALTH_SECONDS, _LOAD_SECONDS = 10.0, 20.0
"""For the two parts of a probe. Airframe's adapters have limits of their own; others may have none."""

_LOOK_SECONDS = 0.25
"""How often it is looked whether a probe is due."""


@runtime_checkable
class WatchedNodes(Protocol):
    """A registry whose nodes change while somebody watches their source."""

    async def watch(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Follow the source until cancelled; `started` when the nodes are known for the first time, or cannot be."""
        ...


class NodeProber:
    """Probes the nodes of a pool: health, and of who is well what it is occupied with. An async context manager.

    Args:
        pool: is told what was found.
        adapters: ready-made ones by backend kind, which stay open; others are made, and closed in the end.
    """

    def __init__(self, pool: NodePool, *, adapters: Mapping[str, Adapter] | None = None) -> None:
        self._pool = pool
        self._given = dict(adapters or {})
        self._made: dict[str, Adapter] = {}
        self._asking: set[str] = set()
        self._reported: set[str] = set()

    async def run(self) -> None:
        """Probe each node when its time has come, until cancelled. One that is slow to answer delays no other."""
        with self._pool.being_probed():
            async with anyio.create_task_group() as tasks:
                while True:
                    for node in self._pool.due():
                        if node.name not in self._asking:
                            self._asking.add(node.name)
                            tasks.start_soon(self._probe, node)
                    await anyio.sleep(_LOOK_SECONDS)

    async def probe_all(self) -> None:
        """Probe every node once, now, all at the same time."""
        async with anyio.create_task_group() as tasks:
            for node in self._pool.list_profiles():
                tasks.start_soon(self._probe, node)

    async def _probe(self, node: NodeProfile) -> None:
        try:
            health, load = await self._found(node)
        except AirframeError as error:
            health, load = HealthReport(state=HealthState.UNHEALTHY, detail=str(error)), None
        except Exception as error:
            if node.name not in self._reported:
                self._reported.add(node.name)
                _logger.exception("probing the node %s failed; further failures are not reported", node.name)
            health, load = HealthReport(state=HealthState.UNHEALTHY, detail=type(error).__name__), None
        finally:
            self._asking.discard(node.name)
        self._pool.report(node, health, load)

    async def _found(self, node: NodeProfile) -> tuple[HealthReport, ServerLoad | None]:
        """Its health; and what it is occupied with, if it is well and not too busy to say so."""
        adapter = self._adapter(str(node.endpoint.backend_kind))
        health, load = (
            HealthReport(state=HealthState.UNREACHABLE, detail=f"no answer within {_HEALTH_SECONDS:.0f} s"),
            None,
        )
        with anyio.move_on_after(_HEALTH_SECONDS):
            health = await adapter.check_health(node.endpoint)
        if health.healthy:
            with anyio.move_on_after(_LOAD_SECONDS):
                load = await adapter.check_load(node.endpoint)
        return health, load

    def _adapter(self, kind: str) -> Adapter:
        if adapter := self._given.get(kind) or self._made.get(kind):
            return adapter
        adapter = self._made[kind] = create_adapter(kind, max_retries=0)
        return adapter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._made:
            _, adapter = self._made.popitem()
            await adapter.aclose()


@asynccontextmanager
async def keep_current(pool: NodePool, *, adapters: Mapping[str, Adapter] | None = None) -> AsyncGenerator[NodeProber]:
    """As long as the context is open, the source of the nodes is watched, and they are probed (`nodes.health`).

    The nodes are known when it begins, as far as they can be. `adapters` are those of `NodeProber`.
    """
    failure: Exception | None = None
    async with NodeProber(pool, adapters=adapters) as prober, anyio.create_task_group() as tasks:
        if isinstance(pool.registry, WatchedNodes):
            await tasks.start(pool.registry.watch)
        if pool.health.interval is not None:
            tasks.start_soon(prober.run)
        try:
            yield prober
        except Exception as error:  # noqa: BLE001 - raised below, as it is and not in a group
            failure = error
        finally:
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
