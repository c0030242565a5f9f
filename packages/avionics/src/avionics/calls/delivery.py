"""Bringing calls into the database, those that wait in spill files too."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing

from sqlalchemy.exc import SQLAlchemyError

from avionics.calls.database import DatabaseUnavailableError
from avionics.calls.retention import prune
from avionics.calls.rows import LogRows
from avionics.calls.spill import Spill
from avionics.calls.store import CallStore
from avionics.errors import ConfigurationError

__all__ = ["Delivery"]

_BATCH = 500
_PRUNING_INTERVAL = 3600.0  # seconds
_NANOSECONDS = 1_000_000_000
_REFUSALS = (SQLAlchemyError, ArithmeticError, LookupError, TypeError, ValueError)
"""What is raised for a row that the database does not take, whatever its state."""

_logger = logging.getLogger(__name__)


class Delivery:
    """Writes into one database. For one thread.

    Its methods raise `DatabaseUnavailableError` when the database is down, `ConfigurationError` when it cannot be used
    as it is configured.

    Args:
        store: the database.
        spill: where calls wait while it is down.
        retention: seconds for which calls are kept; None is for ever.
    """

    def __init__(self, store: CallStore, spill: Spill, *, retention: float | None = None) -> None:
        self._store = store
        self._spill = spill
        self._retention = retention
        self._next_pruning = 0.0

    def write(self, calls: Sequence[LogRows]) -> None:
        """Write these calls. One that the database refuses for what it is, is put aside in a file."""
        for first in range(0, len(calls), _BATCH):
            batch = calls[first : first + _BATCH]
            try:
                self._store.write(batch)
            except (DatabaseUnavailableError, ConfigurationError):
                raise
            except _REFUSALS as error:
                if len(batch) == 1:
                    self._put_aside(batch[0], error)
                else:
                    for one in batch:
                        self.write([one])

    def read_back(self) -> None:
        """Write what waits in complete spill files, and remove them."""
        self._store.open()
        try:
            with closing(self._spill.batches()) as batches:
                for batch in batches:
                    self.write(batch)
        except OSError as error:
            _logger.warning("calls that wait in %s cannot be read back: %s", self._spill.directory, error)

    def prune(self) -> None:
        """Forget the calls that are old enough, once an hour."""
        if self._retention is not None and time.monotonic() >= self._next_pruning:
            prune(self._store.open(), time.time_ns() - round(self._retention * _NANOSECONDS))
            self._next_pruning = time.monotonic() + _PRUNING_INTERVAL

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def _put_aside(self, call: LogRows, error: Exception) -> None:
        try:
            where = self._spill.reject(call)
        except OSError:
            raise DatabaseUnavailableError(type(error).__name__) from error
        _logger.error("the database refuses a call (%s); it is kept in %s", type(error).__name__, where)
