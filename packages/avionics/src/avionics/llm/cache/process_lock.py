"""A lock that a forked process does not find locked for ever by a thread that was not forked along."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType

__all__ = ["ProcessLock"]


class ProcessLock:
    """A reentrant lock, as a context manager.

    Args:
        forget: called once in a forked process, before the lock is first held there: lets go of what belongs to the
            other process.
    """

    def __init__(self, forget: Callable[[], None] | None = None) -> None:
        self._forget = forget
        self._lock = threading.RLock()
        self._process = os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():
            self._process, self._lock = os.getpid(), threading.RLock()
            if self._forget is not None:
                self._forget()
        self._lock.acquire()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()
