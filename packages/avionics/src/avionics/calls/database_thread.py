"""The thread in which the database is spoken to: whoever gives it calls, waits for it as long as they like."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from avionics.errors import AvionicsError

if TYPE_CHECKING:
    from avionics.calls.delivery import Delivery
    from avionics.calls.rows import LogRows

__all__ = ["DatabaseThread"]

_logger = logging.getLogger(__name__)


@dataclass
class _Job:
    calls: Sequence[LogRows]
    read_back: bool
    is_written: bool = False
    settled: threading.Event = field(default_factory=threading.Event)


class DatabaseThread:
    """Delivers calls, one lot at a time. Its methods are for one other thread.

    Args:
        make_delivery: called in the thread, because it loads what speaks to databases.
    """

    def __init__(self, make_delivery: Callable[[], Delivery]) -> None:
        self._make_delivery = make_delivery
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._is_free = threading.Event()
        self._is_free.set()
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="avionics-call-log-database", daemon=True)
        self._thread.start()

    def deliver(self, calls: Sequence[LogRows], *, read_back: bool, patience: float) -> bool:
        """Whether these calls are in the database now, or within `patience` seconds.

        If not, the database is down or slow, and they may get there nevertheless. `read_back` has spilled calls written
        after them.
        """
        deadline = time.monotonic() + patience
        if not self._is_free.wait(patience):
            return False
        self._is_free.clear()
        job = _Job(calls, read_back)
        self._jobs.put(job)
        job.settled.wait(max(0, deadline - time.monotonic()))
        return job.is_written

    def settle(self, *, patience: float) -> None:
        """Wait so many seconds for it to be done with all that it was given."""
        self._is_free.wait(patience)

    def take_failure(self) -> str | None:
        """Why the database did not take what it was given last; None when it did, and when that was told already."""
        failure, self._failure = self._failure, None
        return failure

    def close(self, *, patience: float) -> None:
        """Close the database, and wait so many seconds for it."""
        self._jobs.put(None)
        self._thread.join(patience)

    def _run(self) -> None:
        delivery = self._make_delivery()
        while job := self._jobs.get():
            try:
                if job.calls:
                    delivery.write(job.calls)
                    job.is_written = True
                    job.settled.set()
                if job.read_back:
                    delivery.read_back()
                delivery.prune()
            except AvionicsError as error:
                self._failure = str(error)
            except Exception as error:
                self._failure = type(error).__name__
                _logger.exception("the call log cannot write")
            self._is_free.set()
            job.settled.set()
        delivery.close()
