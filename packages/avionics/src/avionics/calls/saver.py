"""Where finished calls, and feedback on them, go, so that none is lost.

call ──> database
    └──> spill file ──> database      while the database is down or slow
    └──> memory, up to a limit        while the disk of the spill file is full, too
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence

from avionics.calls.database_thread import DatabaseThread
from avionics.calls.feedback import Feedback
from avionics.calls.rows import LogRows, call_rows, feedback_rows
from avionics.calls.spill import Spill
from avionics.calls.writer import Told
from avionics.llm.content_filter import ContentFilter

__all__ = ["CallSaver"]

_MOST_IN_MEMORY = 10_000
_LONGEST_REST = 30.0  # seconds between two tries at a database that is down
_ALL_PATIENCE = 15.0  # seconds in which a database either answers or is down

_logger = logging.getLogger(__name__)


class CallSaver:
    """Saves calls and never raises. For one thread.

    Args:
        database: where they belong.
        spill: where they wait while it cannot take them.
        capture: what was said goes through it; None captures nothing.
        patience: seconds to wait for the database before the calls are spilled.
        rest: seconds until a database that was down is tried again; every further time it is twice as long.
    """

    def __init__(
        self,
        database: DatabaseThread,
        spill: Spill,
        *,
        capture: ContentFilter | None,
        patience: float,
        rest: float,
    ) -> None:
        self._database = database
        self._spill = spill
        self._capture = capture
        self._patience = patience
        self._shortest_rest = self._rest = rest
        self._next_try = 0.0
        self._memory: list[LogRows] = []
        self._dropped = 0
        self._may_be_spilled = True  # by an earlier process
        self._is_down = self._is_full = self._is_reported = False

    def save(self, told: Sequence[Told], *, thoroughly: bool = False) -> None:
        """Save these, and those that wait.

        `thoroughly` gives the database all the time that it needs, and tries it however short ago it was down.
        """
        self._memory += self._rows(told)
        self._notice_failure()
        if (self._memory or self._may_be_spilled) and (thoroughly or time.monotonic() >= self._next_try):
            self._deliver(_ALL_PATIENCE if thoroughly else self._patience)
            if thoroughly:
                self._database.settle(patience=_ALL_PATIENCE)
                self._notice_failure()
        if self._memory:
            self._spill_memory()

    def close(self) -> None:
        """Let go of files and connections."""
        if lost := self._dropped + len(self._memory):
            _logger.error(
                "%d calls were not logged: neither the database nor %s took them", lost, self._spill.directory
            )
        self._spill.seal()
        self._database.close(patience=_ALL_PATIENCE)

    def _rows(self, told: Sequence[Told]) -> Iterator[LogRows]:
        for one in told:
            if isinstance(one, Feedback):
                yield feedback_rows(one)
                continue
            start, end = one
            try:
                yield call_rows(start, end, self._capture)
            except Exception:  # of a redaction hook, which is the user's code
                if not self._is_reported:
                    self._is_reported = True
                    _logger.exception("what was said in a call cannot be captured; further calls are not reported")
                yield call_rows(start, end)

    def _deliver(self, patience: float) -> None:
        read_back, self._may_be_spilled = self._may_be_spilled, False
        if read_back:
            self._spill.seal()
        if self._database.deliver(self._memory, read_back=read_back, patience=patience):
            self._memory = []
            self._came_up()
        else:
            self._may_be_spilled |= read_back
        self._notice_failure()

    def _notice_failure(self) -> None:
        if failure := self._database.take_failure():
            if not self._is_down:
                _logger.warning(
                    "the database does not take calls (%s); they wait in %s", failure, self._spill.directory
                )
            self._is_down = self._may_be_spilled = True
            self._next_try = time.monotonic() + self._rest
            self._rest = min(2 * self._rest, _LONGEST_REST)

    def _came_up(self) -> None:
        if self._is_down:
            _logger.info("the database takes calls again")
        self._is_down = False
        self._rest, self._next_try = self._shortest_rest, 0.0

    def _spill_memory(self) -> None:
        try:
            self._spill.append(self._memory)
        except OSError as error:
            if not self._is_full:
                _logger.warning("%s cannot be written (%s); calls wait in memory", self._spill.directory, error)
            self._is_full = True
            self._dropped += len(self._memory[_MOST_IN_MEMORY:])
            self._memory = [_without_content(call) for call in self._memory[:_MOST_IN_MEMORY]]
        else:
            self._memory = []
            self._may_be_spilled, self._is_full = True, False


def _without_content(call: LogRows) -> LogRows:
    """The figures of a call, which are small."""
    if call.call is None or not call.contents:
        return call
    return LogRows(call={**call.call, "prompt_id": None, "answer_id": None}, attempts=call.attempts)
