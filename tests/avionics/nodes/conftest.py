"""Nodes, time, and waiting for what other tasks and threads do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from airframe.endpoints import CapacityHints, EndpointSpec
from airframe.testing import Clock
from avionics.llm.nodes import NodeProfile


@pytest.fixture
def clock() -> Clock:
    """The time: it stands still until a test sets its `now`."""
    return Clock()


@pytest.fixture
def node() -> Callable[..., NodeProfile]:
    """Makes a node by its name."""

    def make(name: str, *, model: str | None = None, slots: int | None = None, **more: object) -> NodeProfile:
        endpoint = EndpointSpec(base_url=f"http://{name}:8080", model=model, capacity=CapacityHints(slots=slots))
        return NodeProfile(name=name, endpoint=endpoint, **more)  # type: ignore[arg-type] # as the test wants it

    return make


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits until something is the case, which has to be soon."""

    async def wait(condition: Callable[[], object]) -> None:
        with anyio.fail_after(30):
            while not condition():
                await anyio.lowlevel.checkpoint()

    return wait
