"""The call log: an observer that writes every call into the database, off the path of the call."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avionics.calls.database_thread import DatabaseThread
from avionics.calls.feedback import Feedback
from avionics.calls.location import database_url, spill_directory
from avionics.calls.saver import CallSaver
from avionics.calls.spill import Spill
from avionics.calls.writer import CallWriter
from avionics.llm.content_filter import ContentFilter
from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallStarted
from avionics.settings import Settings

if TYPE_CHECKING:
    from avionics.calls.delivery import Delivery

__all__ = ["CallLog"]

_SECONDS_A_DAY = 86_400.0


class CallLog:
    """Logs the calls of a gateway: a `CallObserver` that never fails a call nor makes it wait.

    A call is in the database within `flush_interval` after its end. While the database cannot take it, it waits in a
    file, and is read back when the database can. `close` writes what there is, and so does the end of the process.

    Args:
        settings: the sections `database` and `call_log`.
        capture: what was said goes through it, if the settings say that it is captured; None is a filter with the
            settings' limit.

    Raises `ConfigurationError` when the driver of the database is missing.
    """

    def __init__(self, settings: Settings, *, capture: ContentFilter | None = None) -> None:
        options = settings.call_log
        if capture is None:
            capture = ContentFilter(most_characters=options.content_limit)
        plan = _Plan(
            url=database_url(settings.database),
            spill=spill_directory(settings),
            capture=capture if options.capture_content else None,
            flush_interval=options.flush_interval,
            retention=None if options.retention_days is None else options.retention_days * _SECONDS_A_DAY,
        )
        self._writer = CallWriter(plan.saver, flush_interval=options.flush_interval)
        # The thread knows the writer, not this: a log that is forgotten lets its thread end.
        weakref.finalize(self, self._writer.stop).atexit = False

    def call_started(self, call: CallStarted) -> CallObservation:
        """A call begins; meanwhile the database is opened."""
        self._writer.start()
        return _Observation(self._writer, call)

    def record_feedback(self, call_id: str, metric: str, value: float | None, *, comment: str | None = None) -> None:
        """Note what somebody thought of an answer, in the same way as calls are logged: at once, and never lost.

        Nobody looks whether there is such a call: it may wait in another process. Raises `ValueError` as `Feedback.of`.
        """
        self._writer.put(Feedback.of(call_id, metric, value, comment=comment))

    def flush(self) -> None:
        """Wait until all calls that have ended are in the database, or in the spill file if it is down."""
        self._writer.flush()

    def close(self) -> None:
        """The same, and let go of the database. The log may be used again afterwards."""
        self._writer.close()


class _Observation:
    def __init__(self, writer: CallWriter, call: CallStarted) -> None:
        self._writer = writer
        self._call = call

    def attempt_finished(self, attempt: AttemptFinished) -> None:
        """The end of the call lists its attempts."""

    def call_finished(self, end: CallFinished) -> None:
        self._writer.put((self._call, end))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the threads need to save calls."""

    url: str
    spill: Path
    capture: ContentFilter | None
    flush_interval: float
    retention: float | None

    def saver(self) -> CallSaver:
        """What the writer saves with."""
        return CallSaver(
            DatabaseThread(self._delivery),
            Spill(self.spill),
            capture=self.capture,
            patience=self.flush_interval / 4,
            rest=self.flush_interval,
        )

    def _delivery(self) -> Delivery:
        from avionics.calls.delivery import Delivery  # here, because SQLAlchemy comes with them
        from avionics.calls.store import CallStore

        return Delivery(CallStore(self.url), Spill(self.spill), retention=self.retention)
