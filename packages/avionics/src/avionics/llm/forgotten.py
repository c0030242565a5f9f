"""Streams that nobody closed: what is to be done when one is collected as garbage.

Garbage is collected anywhere, in the middle of an observer's own lock, too. So nobody is told from there: what is to be
done is put down here, and the event loop does it soon.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from avionics.llm.home_loop import HomeLoop

__all__ = ["Forgotten"]


class Forgotten:
    """What is still to be done."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def put(self, end: Callable[[], None], home: HomeLoop) -> None:
        """Have `home` do it; at once where that is over. Safe to call from anywhere."""
        self._waiting.append(end)
        if not home.soon(self.carry_out):
            self.carry_out()

    def carry_out(self) -> None:
        """Do all of it now."""
        while self._waiting:
            self._waiting.popleft()()
