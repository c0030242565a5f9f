"""The event loop to which something belongs, told from wherever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio.lowlevel

__all__ = ["HomeLoop"]


class HomeLoop:
    """The event loop in which it is made: of asyncio or of trio."""

    def __init__(self) -> None:
        self._loop: Any = anyio.lowlevel.current_token().native_token

    def soon(self, action: Callable[[], object]) -> bool:
        """Have it do something soon; False when it is over. Safe from any thread, and from garbage collection."""
        do_soon = getattr(self._loop, "call_soon_threadsafe", None) or self._loop.run_sync_soon
        try:
            do_soon(action)
        except RuntimeError:  # trio's RunFinishedError is one
            return False
        return True

    def is_here(self) -> bool:
        """Whether this thread is in it."""
        try:
            return anyio.lowlevel.current_token().native_token is self._loop
        except RuntimeError:
            return False
