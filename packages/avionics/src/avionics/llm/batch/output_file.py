"""The file of answers: what is in it stays, and a process may end at any moment.

Lines are only ever added at the end, each by one write that is on the disk before the next. So there is nothing beside
the file that could differ from it: the answers themselves are the checkpoint. All that a killed process can leave is a
last line that is not whole; it is taken away, and its request made again.

While a process has the file open, it holds a lock on it, which ends with the process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from avionics.calls.file_lock import lock
from avionics.errors import ConfigurationError
from avionics.llm.batch.output_line import BEGINNING, answered_id, is_answer

__all__ = ["OutputFile", "read_answers"]


class OutputFile:
    """A context manager around the open file; it is made if it is not there.

    Raises `ConfigurationError` for a file that another process has open, that cannot be written, or that holds
    anything but answers; then nothing in it is changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open_locked(path)
        try:
            self._answers, length = _scan(path, self._file)
            self._mend(length)
        except BaseException:
            self._file.close()
            raise

    @property
    def answers(self) -> Mapping[str, bool]:
        """The ids of the requests that have a line, and whether it is an answer; the others are failures."""
        return self._answers

    def add(self, line: bytes, id: str, *, answered: bool) -> None:
        """Write a line. It is on the disk on return."""
        self._file.write(line)
        self._sync(self._file)
        self._answers[id] = answered

    def forget_failures(self) -> None:
        """Take the lines of failures away, at one stroke: a process that is killed leaves all of them, or none."""
        if all(self._answers.values()):
            return
        beside = _open_locked(self._path.with_name(f"{self._path.name}.new"))
        try:
            beside.truncate(0)
            self._file.seek(0)
            beside.writelines(line for line in self._file if is_answer(line))
            self._sync(beside)
            Path(beside.name).replace(self._path)
        except BaseException:
            beside.close()
            raise
        self._file.close()  # its lock is no longer needed: the new file has its own
        self._file = beside
        self._answers = {id: True for id, answered in self._answers.items() if answered}

    def close(self) -> None:
        """Close the file, and let others have it."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _mend(self, length: int) -> None:
        """Take a torn line away, or end a whole one. `length` is how many bytes the whole lines have."""
        self._file.truncate(length)
        self._file.seek(-min(length, 1), os.SEEK_END)
        if self._file.read(1) not in (b"", b"\n"):
            self._file.write(b"\n")
        self._sync(self._file)

    @staticmethod
    def _sync(file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())


def read_answers(path: Path) -> Mapping[str, bool]:
    """The same as `OutputFile.answers`, without touching the file; nothing where there is none."""
    try:
        with path.open("rb") as file:
            return _scan(path, file)[0]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None


def _scan(path: Path, file: BinaryIO) -> tuple[dict[str, bool], int]:
    """The answers of a file, and how many bytes their lines have: a torn line at the end does not count."""
    answers: dict[str, bool] = {}
    length = 0
    file.seek(0)
    for number, line in enumerate(file, 1):
        if _is_torn(line):
            break
        try:
            answers[answered_id(line)] = is_answer(line)
        except ValueError as error:
            raise ConfigurationError(
                f"{path}, line {number}: {error}; the file holds something else than answers, "
                "so nothing is added to it: choose another output file"
            ) from None
        length += len(line)
    return answers, length


def _is_torn(line: bytes) -> bool:
    """Whether it is the beginning of a line of ours. Nothing that could be anything else is taken away."""
    if line.endswith(b"\n") or not (line.startswith(BEGINNING) or BEGINNING.startswith(line)):
        return False
    try:
        answered_id(line)
    except ValueError:
        return True
    return False


def _open_locked(path: Path) -> BinaryIO:
    while True:
        try:
            file = path.open("a+b")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
        if not lock(file):
            file.close()
            raise ConfigurationError(f"{path} is being written by another process; wait for it, or end it first")
        if _is_still(path, file):
            return file
        file.close()


def _is_still(path: Path, file: BinaryIO) -> bool:
    """Whether the file that was locked goes by this name yet; another process may have put a new one there."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
