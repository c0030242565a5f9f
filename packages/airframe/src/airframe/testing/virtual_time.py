"""Event loops on which nobody waits: when every task sleeps, time jumps to the first that is due.

What hangs on time (deadlines, cooldowns, a hedge after two seconds) is tested as it is, in no time, and always comes
out the same. With pytest and anyio's plugin:

    @pytest.fixture(params=VIRTUAL_BACKENDS, ids=str)
    def anyio_backend(request):
        return virtual_backend(request.param)

A `LoopClock` lets scripted adapters sleep on that time. Only for what happens inside one event loop: time jumps past
threads, processes and sockets that are still at work.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping

import anyio

__all__ = ["VIRTUAL_BACKENDS", "LoopClock", "VirtualTimeLoop", "virtual_backend"]

VIRTUAL_BACKENDS = ("asyncio", "trio")
"""What `virtual_backend` takes."""


def virtual_backend(name: str) -> tuple[str, Mapping[str, object]]:
    """Name and options of such a backend, as `anyio.run` and its pytest plugin take them."""
    if name == "asyncio":
        return name, {"loop_factory": VirtualTimeLoop}
    from trio.testing import MockClock

    return name, {"clock": MockClock(autojump_threshold=0)}


class LoopClock:
    """The time of the running event loop, as a clock for scripted adapters and servers."""

    @property
    def now(self) -> float:
        """Seconds; only differences mean anything."""
        return anyio.current_time()

    async def sleep(self, seconds: float, /) -> None:
        """Wait until so much time has passed."""
        await anyio.sleep(max(seconds, 0))


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop that begins at 0 and never waits for a timer."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Seconds of its own."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._now += seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # nothing is due: somebody outside has to do something
            return super().select()
        ready = super().select(0)
        if not ready and timeout > 0:
            self._loop.jump(timeout)
        return ready
