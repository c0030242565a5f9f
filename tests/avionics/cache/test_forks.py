"""A process that was forked uses the cache as a new one: nothing of the other process holds it up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys, threading
import anyio
from avionics.llm.cache.memory_store import MemoryStore
from avionics.llm.cache.single_flight import SingleFlight
from avionics.llm.cache.sql_store import SqlStore

async def leads():
    return (await flights.join("k", patience=600)).leads

def hold():
    with memory._lock, flights._lock:
        held.set()
        threading.Event().wait()

flights, memory = SingleFlight(), MemoryStore(max_entries=9, max_bytes=99)
sql = SqlStore("sqlite:///" + sys.argv[1], max_entries=9, timeout=30)
for store in (memory, sql):
    store.put("k", b"kept", now=0.0, ttl=None)
assert anyio.run(leads)
held = threading.Event()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    right = anyio.run(leads) and memory.get("k") == sql.get("k") == b"kept"
    sql.put("k", b"of the child", now=0.0, ttl=None)
    os._exit(0 if right else 1)
assert os.waitpid(child, 0)[1] == 0, "the child did not get along"
assert sql.get("k") == b"of the child"
"""


def test_a_forked_process_begins_anew(tmp_path: Path) -> None:
    """Locks that other threads held, calls that others make, and connections stay with the one that was forked."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, str(tmp_path / "responses.db")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
