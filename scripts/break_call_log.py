"""Breaks what the call log stands on while calls are logged, and counts what is missing afterwards.

    python scripts/break_call_log.py kill [--times 5]          kill -9 of a process in the middle of 10,000 calls
    python scripts/break_call_log.py together                  two processes write at once
    python scripts/break_call_log.py full --folder FOLDER      on a small file system, such as a tmpfs, which is filled
    python scripts/break_call_log.py outage --stop COMMAND --start COMMAND --database URL
                                                               the server stops and starts, twice

Each but `full` takes `--database URL`, a SQLite file without it, and `--calls`. The exit code is 1 when a call is lost.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from sqlalchemy import text

from avionics.calls import CallHistory
from avionics.calls.database import open_database, reading
from avionics.calls.location import database_url
from avionics.settings import Settings

PROGRAM = Path(__file__).parents[1] / "tests" / "avionics" / "calls" / "programs" / "log_calls.py"
FLUSH_INTERVAL = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kill", "together", "full", "outage"])
    parser.add_argument("--calls", type=int, default=10_000, help="of each process")
    parser.add_argument("--times", type=int, default=5, help="how many processes are killed, one after the other")
    parser.add_argument("--database", help="SQLAlchemy URL; a new SQLite file without it")
    parser.add_argument("--folder", type=Path, help="a folder on a small file system")
    parser.add_argument("--stop", type=shlex.split, help="stops the server")
    parser.add_argument("--start", type=shlex.split, help="starts it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        url = options.database or f"sqlite:///{folder}/calls.db"
        settings = Settings(
            database={"url": url}, call_log={"spill_directory": Path(folder, "spill"), "flush_interval": FLUSH_INTERVAL}
        )
        match options.what:
            case "kill":
                lost = sum(kill(settings, options.calls) for _ in range(options.times))
            case "together":
                lost = together(settings, options.calls)
            case "full":
                lost = full(settings, options.calls, options.folder)
            case _:
                lost = outage(settings, options.calls, options.stop, options.start)
        print(f"database: {soundness(settings)}")
    sys.exit(1 if lost else 0)


class Calls:
    """A process that makes calls, and what it says of them: the id of each, and when it had returned."""

    def __init__(self, settings: Settings, count: int, *arguments: str) -> None:
        self.returned: dict[str, float] = {}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(count), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "AVIONICS_DATABASE__URL": database_url(settings.database),
                "AVIONICS_CALL_LOG__FLUSH_INTERVAL": str(settings.call_log.flush_interval),
                "AVIONICS_CALL_LOG__SPILL_DIRECTORY": str(settings.call_log.spill_directory),
            },
        )
        self.words: list[str] = []
        self._readers = [threading.Thread(target=read) for read in (self._read_calls, self._read_words)]
        for reader in self._readers:
            reader.start()

    def wait(self) -> None:
        """Until it has ended, and all that it said was read."""
        self.process.wait()
        for reader in self._readers:
            reader.join()

    def wait_for(self, count: int) -> None:
        """Until so many calls have returned."""
        while len(self.returned) < count and self.process.poll() is None:
            time.sleep(0.002)

    def _read_calls(self) -> None:
        for line in self.process.stdout or ():
            if line.endswith("\n"):  # a killed process may leave a part of one
                call, moment = line.split()
                self.returned[call] = float(moment)

    def _read_words(self) -> None:
        self.words += self.process.stderr or ()


def kill(settings: Settings, count: int) -> int:
    """At a moment of chance; what had returned more than a flush interval before must be there."""
    calls = Calls(settings, count)
    calls.wait_for(random.randrange(count // 10, count))
    death = time.monotonic()
    calls.process.kill()
    calls.wait()
    logged = logged_ids(settings)
    due = {call for call, moment in calls.returned.items() if moment < death - FLUSH_INTERVAL}
    young = calls.returned.keys() - due - logged
    later = len(calls.returned) - len(due)
    print(
        f"killed after {len(calls.returned):,} of {count:,} calls: {len(due - logged)} lost of {len(due):,} that had "
        f"returned {FLUSH_INTERVAL:g} s before or earlier, and {len(young):,} of {later:,} later ones"
    )
    return len(due - logged)


def together(settings: Settings, count: int) -> int:
    """Two of them, into a database that neither finds made."""
    return finished("two at once", settings, [Calls(settings, count, "--end", "close") for _ in range(2)])


def full(settings: Settings, count: int, folder: Path) -> int:
    """Room is made when the process is half through."""
    print(f"{folder} has room for {free(folder):,} bytes")
    calls = Calls(settings, count, "--end", "close")
    ballast = folder / "ballast"
    calls.wait_for(10)
    ballast.write_bytes(bytes(max(0, free(folder) - 400_000)))
    calls.wait_for(count // 2)
    print(f"half of the calls are made, {free(folder):,} bytes are left, {spilled(settings)} spill files wait")
    ballast.unlink()
    return finished("disk full", settings, [calls])


def free(folder: Path) -> int:
    place = os.statvfs(folder)
    return place.f_bavail * place.f_frsize


def outage(settings: Settings, count: int, stop: list[str], start: list[str]) -> int:
    """While two processes make calls."""
    processes = [Calls(settings, count, "--end", "close") for _ in range(2)]
    for share in (5, 2):
        processes[0].wait_for(count // share)
        subprocess.run(stop, check=True)
        try:
            made = len(processes[0].returned)
            processes[0].wait_for(min(count, made + count // 10))
            print(f"stopped: {len(processes[0].returned) - made:,} calls made meanwhile by one of two processes")
        finally:
            subprocess.run(start, check=True)
    return finished("stopped and started twice", settings, processes)


def finished(title: str, settings: Settings, processes: list[Calls]) -> int:
    """How many calls are missing, and processes failed, when all have ended."""
    for one in processes:
        one.wait()
    told = {call for one in processes for call in one.returned}
    lost = told - logged_ids(settings)
    codes = sorted({one.process.returncode for one in processes})
    print(f"{title}: {len(lost)} lost of {len(told):,} calls; exit codes {codes}; {spilled(settings)} spill files left")
    for words in sorted({line.strip() for one in processes for line in one.words}):
        print(f"  said: {words}")
    return len(lost) + sum(1 for code in codes if code)


def spilled(settings: Settings) -> int:
    return len(list((settings.call_log.spill_directory or Path()).glob("*.jsonl")))


def logged_ids(settings: Settings) -> set[str]:
    with CallHistory(settings) as history:
        return {call.id for call in history.calls()}


def soundness(settings: Settings) -> str:
    """The database's own check, and whether every call has its attempts."""
    engine = open_database(database_url(settings.database))
    with reading(engine) as connection:
        sqlite = connection.dialect.name == "sqlite"
        check = str(connection.scalar(text("PRAGMA integrity_check"))) if sqlite else "PostgreSQL"
        unequal = text("SELECT count(*) FROM call WHERE attempts <> (SELECT count(*) FROM attempt WHERE call_id = id)")
        torn = connection.scalar(unequal)
    engine.dispose()
    return f"integrity check {check}, {torn} calls with another number of attempts than they have"


if __name__ == "__main__":
    main()
