"""Where calls wait while the database cannot take them: files of JSON lines, read back when it can.

Each process writes its own file and holds a lock on it as long as it may write more. A file without a lock is complete,
whoever wrote it and however that ended, and whoever opens the log next reads it back. Reading twice does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from avionics.calls.file_lock import lock
from avionics.calls.rows import LogRows
from avionics.llm.call_id import new_call_id

__all__ = ["Spill"]

_SUFFIX = ".jsonl"
_REJECTED = "rejected.ndjson"
_BATCH = 500

_logger = logging.getLogger(__name__)


class Spill:
    """The spill files in one directory. Not safe to share between threads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file: FileIO | None = None

    def append(self, calls: Sequence[LogRows]) -> None:
        """Keep these calls, all or none. Raises `OSError`."""
        file = self._file = self._file or self._new_file()
        end = file.tell()
        rest = b"".join(one.to_json().encode() + b"\n" for one in calls)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(end)
            file.seek(end)
            raise

    def seal(self) -> None:
        """What was appended may be read back, by anybody; what comes goes into a new file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def batches(self) -> Generator[Sequence[LogRows]]:
        """The calls in all complete files. A file is removed when the batch after its last one is asked for."""
        for path in sorted(self.directory.glob(f"*{_SUFFIX}")):
            with _taken_over(path) as file:
                while file is not None and (lines := list(islice(file, _BATCH))):
                    yield list(_readable(lines))

    def reject(self, call: LogRows) -> Path:
        """Put a call aside that the database refuses for what it is; returns where. Raises `OSError`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / _REJECTED
        with path.open("a", encoding="utf-8") as file:
            file.write(call.to_json() + "\n")
        return path

    def _new_file(self) -> FileIO:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{new_call_id()}{_SUFFIX}"  # sorts by time
        file = path.open("xb", buffering=0)
        lock(file)
        return file


@contextmanager
def _taken_over(path: Path) -> Generator[BinaryIO | None]:
    """The file, which is removed when it was read; None when its process still writes, or another one reads it."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        yield None
        return
    with file:
        locked = lock(file)
        yield file if locked else None
    if locked:
        path.unlink(missing_ok=True)


def _readable(lines: Sequence[bytes]) -> Iterator[LogRows]:
    for line in lines:
        try:
            yield LogRows.from_json(line)
        except ValueError:  # a process was killed while it wrote it
            _logger.warning("a spilled call cannot be read and is lost: its line of %d bytes is broken", len(line))
