"""The call log of whole processes: killed ones, such as end without a word, forked ones, and two beside each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy import text

from avionics.calls import CallHistory
from avionics.calls.database import open_database, reading
from avionics.calls.location import database_url
from avionics.settings import Settings

pytestmark = pytest.mark.timeout(180)  # a process loads for seconds where many run at once

PROGRAM = Path(__file__).parent / "programs" / "log_calls.py"

Configure: TypeAlias = Callable[..., Settings]
Start: TypeAlias = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the program with the settings of a log."""
    started: list[subprocess.Popen[str]] = []

    def start_program(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
        assert settings.database.url is not None
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "AVIONICS_DATABASE__URL": settings.database.url.get_secret_value(),
                "AVIONICS_CALL_LOG__FLUSH_INTERVAL": str(settings.call_log.flush_interval),
                "AVIONICS_CALL_LOG__SPILL_DIRECTORY": str(settings.call_log.spill_directory),
            },
        )
        started.append(process)
        return process

    yield start_program
    for process in started:
        process.kill()
        with process:
            pass


BUSY_MACHINE = 4.0
"""Seconds that the thread that writes may come late where others use the processors, too."""


@pytest.mark.parametrize("calls_before", [20, 8000])
def test_a_killed_process_loses_no_call_older_than_the_flush_interval(
    configure: Configure, start: Start, calls_before: int
) -> None:
    """In the middle of 10,000 calls, also while the database is being opened; and the database is sound."""
    settings = configure(flush_interval=0.2)
    process = start(settings, "10000")
    returned = read_calls(process, calls_before)
    time_of_death = time.monotonic()
    process.kill()
    returned |= read_calls(process)
    logged = logged_ids(settings)
    latest = time_of_death - settings.call_log.flush_interval - BUSY_MACHINE
    due = {call for call, moment in returned.items() if moment < latest}
    assert due - logged == set()
    assert len(logged - returned.keys()) <= 1  # the one that it was killed with in its mouth
    assert_sound(settings)


def test_a_process_that_just_ends_loses_nothing(configure: Configure, start: Start) -> None:
    """Nobody closed the log; the end of the process does."""
    settings = configure(flush_interval=60)
    returned = read_calls(start(settings, "300"))
    assert len(returned) == 300
    assert logged_ids(settings) == returned.keys()


def test_two_processes_write_at_once(configure: Configure, start: Start) -> None:
    """Into a database that neither finds made: every call of both is there, once."""
    settings = configure(flush_interval=0.2)
    processes = [start(settings, "1000", "--end", "close") for _ in range(2)]
    returned = [read_calls(process) for process in processes]
    assert [process.wait() for process in processes] == [0, 0]
    assert [len(calls) for calls in returned] == [1000, 1000]
    assert logged_ids(settings) == returned[0].keys() | returned[1].keys()
    with CallHistory(settings) as history:
        report = history.usage("agent")
    assert [(group.totals.calls, group.totals.attempts) for group in report.groups] == [(1000, 1000), (1000, 1000)]
    assert list((settings.call_log.spill_directory or Path()).glob("*.jsonl")) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_logs_its_own_calls(configure: Configure, start: Start) -> None:
    """It does not write its parent's a second time, and neither waits for the other."""
    settings = configure(flush_interval=0.2)
    process = start(settings, "100", "--fork", "--end", "close")
    returned = read_calls(process)
    assert (process.wait(), len(returned)) == (0, 200)
    with CallHistory(settings) as history:
        assert [group.totals.calls for group in history.usage("agent").groups] == [100, 100]
    assert logged_ids(settings) == returned.keys()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of file sizes here")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_full_disk_fails_no_call_and_loses_none(configure: Configure, start: Start) -> None:
    """Neither the database nor the spill file may grow; when they may, all calls come home."""
    settings = configure(flush_interval=0.2)
    read_calls(start(settings, "1", "--end", "close"))
    process = start(settings, "1000", "--file-size", "150000", "--end", "close")
    returned = read_calls(process)
    said = process.stderr.read() if process.stderr else ""
    assert (process.wait(), len(returned)) == (0, 1001)
    assert "the database does not take calls" in said
    assert "calls wait in memory" in said
    assert returned.keys() - logged_ids(settings) == set()
    assert_sound(settings)


def read_calls(process: subprocess.Popen[str], most: int = sys.maxsize) -> dict[str, float]:
    """The calls of which the process tells, and when each returned; a last line may be cut off."""
    assert process.stdout is not None
    returned: dict[str, float] = {}
    while len(returned) < most and (line := process.stdout.readline()):
        if line.endswith("\n"):
            call, moment = line.split()
            returned[call] = float(moment)
    return returned


def logged_ids(settings: Settings) -> set[str]:
    with CallHistory(settings) as history:
        return {call.id for call in history.calls()}


def assert_sound(settings: Settings) -> None:
    engine = open_database(database_url(settings.database))
    with reading(engine) as connection:
        if connection.dialect.name == "sqlite":
            assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        unequal = text("SELECT count(*) FROM call WHERE attempts <> (SELECT count(*) FROM attempt WHERE call_id = id)")
        assert connection.scalar(unequal) == 0
    engine.dispose()
