"""The thread that writes calls down, so that no call waits for it.

It speaks to no database itself: one that is slow would keep calls in memory, where a killed process loses them.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from avionics.calls.feedback import Feedback
from avionics.llm.records import CallFinished, CallStarted

if TYPE_CHECKING:
    from avionics.calls.saver import CallSaver

__all__ = ["CallWriter", "Told"]

Told: TypeAlias = tuple[CallStarted, CallFinished] | Feedback
"""A call as its observer has seen it, or what somebody thought of one."""

_MOST_WAITING = 10_000
_BATCH = 500

_logger = logging.getLogger(__name__)


@dataclass
class _Session:
    """One thread, and what waits for it."""

    waiting: list[Told | threading.Event] = field(default_factory=list[Told | threading.Event])
    wake: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    ends: bool = False

    def end(self) -> None:
        """Let the thread write what there is, and end."""
        self.ends = True
        self.wake.set()

    def end_now(self) -> None:
        """The same, and wait for it."""
        self.end()
        if self.thread is not None:
            self.thread.join()


class CallWriter:
    """Takes calls from any thread; neither raises nor waits while it does.

    What it holds is written when it is closed, and when the process ends in the usual way. Of a process that is killed,
    calls may be missing that ended within the last flush interval.

    Args:
        make_saver: gives what the thread saves with; called in the thread.
        flush_interval: the longest that a call waits to be written, in seconds.
    """

    def __init__(self, make_saver: Callable[[], CallSaver], *, flush_interval: float) -> None:
        self._make_saver = make_saver
        self._interval = flush_interval
        self._process = os.getpid()
        self._session: _Session | None = None
        self._lock = threading.RLock()  # a stream that is collected as garbage may end a call inside `put`
        self._lost = 0

    def start(self) -> None:
        """Open the database, if it is not open, ahead of the end of the first call."""
        self._leave_parent()
        with self._lock:
            self._session = self._session or self._begin()

    def put(self, told: Told) -> None:
        """Write this down soon."""
        self._leave_parent()
        with self._lock:
            self._session = session = self._session or self._begin()
            if len(session.waiting) < _MOST_WAITING:
                session.waiting.append(told)
            else:
                self._lost += 1
        if len(session.waiting) >= _BATCH:
            session.wake.set()

    def flush(self) -> None:
        """Wait until what was put so far is in the database, or in the spill file if the database is down."""
        self._leave_parent()
        with self._lock:
            session = self._session
            if session is None:
                return
            saved = threading.Event()
            session.waiting.append(saved)
        session.wake.set()
        saved.wait()

    def stop(self) -> None:
        """Let the thread write what there is, and end. A later call starts a new one."""
        if session := self._detached():
            session.end()

    def close(self) -> None:
        """The same, and wait for it."""
        if session := self._detached():
            session.end_now()

    def _detached(self) -> _Session | None:
        self._leave_parent()
        with self._lock:
            session, self._session = self._session, None
        return session

    def _leave_parent(self) -> None:
        """In a forked child, the thread and what waited for it are the parent's, and the lock may be held for ever."""
        if self._process != os.getpid():
            self._process, self._session, self._lock, self._lost = os.getpid(), None, threading.RLock(), 0

    def _begin(self) -> _Session:
        session = _Session()
        session.thread = threading.Thread(target=self._run, args=(session,), name="avionics-call-log", daemon=True)
        session.thread.start()
        atexit.register(session.end_now)
        return session

    def _run(self, session: _Session) -> None:
        saver = self._make_saver()
        ends = False
        while not ends:
            session.wake.wait(self._interval / 4)  # the rest of the interval is for the writing
            session.wake.clear()
            ends = session.ends
            with self._lock:
                waiting, session.waiting = session.waiting, []
                lost, self._lost = self._lost, 0
            if lost:
                _logger.error("%d calls were not logged: they ended faster than they can be written", lost)
            asked = [item for item in waiting if isinstance(item, threading.Event)]
            calls = [item for item in waiting if not isinstance(item, threading.Event)]
            saver.save(calls, thoroughly=ends or bool(asked))
            for saved in asked:
                saved.set()
        saver.close()
        atexit.unregister(session.end_now)
