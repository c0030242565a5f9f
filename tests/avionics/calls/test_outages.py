"""A database that is down, slow, full or wrong: calls wait elsewhere, none is lost, and it is said once."""

from __future__ import annotations

import json
import logging
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy.engine import make_url

from avionics.calls import CallHistory, CallLog, DatabaseUnavailableError
from avionics.calls.rows import LogRows, call_rows
from avionics.calls.spill import Spill
from avionics.errors import ConfigurationError
from avionics.llm.records import CallFinished, CallStarted
from avionics.settings import Settings

FinishedCall: TypeAlias = tuple[CallStarted, CallFinished]
MakeCall: TypeAlias = Callable[..., FinishedCall]


class Gate:
    """A way to a server that can be closed: connections through it end, and new ones are refused."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.port = closed_port()
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def open(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        while self._open:
            with self._open.pop() as connection, suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@pytest.fixture
def gate(postgres: str) -> Iterator[Gate]:
    """A gate to a PostgreSQL server, closed."""
    server = make_url(postgres)
    gate = Gate(server.host or "127.0.0.1", server.port or 5432)
    yield gate
    gate.close()


def closed_port() -> int:
    """A port on which nobody listens: one that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings_for(url: str, tmp_path: Path, **call_log: object) -> Settings:
    place = {"flush_interval": 0.05, "spill_directory": tmp_path / "spill"}
    return Settings(database={"url": url}, call_log={**place, **call_log})


def tell(log: CallLog, *calls: FinishedCall) -> set[str]:
    """Tells the log of these calls; returns their ids."""
    for start, end in calls:
        log.call_started(start).call_finished(end)
    return {start.call_id for start, _ in calls}


def logged_ids(settings: Settings) -> set[str]:
    with CallHistory(settings) as history:
        return {call.id for call in history.calls()}


def spilled_ids(tmp_path: Path) -> set[str]:
    lines = [line for path in (tmp_path / "spill").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    return {call_id(LogRows.from_json(line)) for line in lines}


def call_id(rows: LogRows) -> str:
    assert rows.call is not None
    return str(rows.call["id"])


def test_a_database_that_stops_and_starts_under_load_has_all_calls(
    gate: Gate, postgres: str, tmp_path: Path, make_call: MakeCall, caplog: pytest.LogCaptureFixture
) -> None:
    """They wait in a file while it is down, come home when it is up, and each outage is reported once."""
    caplog.set_level(logging.INFO, "avionics.calls")
    through_gate = make_url(postgres).set(port=gate.port).render_as_string(hide_password=False)
    settings = settings_for(through_gate, tmp_path)
    log = CallLog(settings)
    told: set[str] = set()
    for _ in range(2):
        told |= tell(log, *(make_call() for _ in range(100)))
        log.flush()
        assert spilled_ids(tmp_path) >= told - logged_ids(settings_for(postgres, tmp_path / "elsewhere"))
        told |= tell(log, *(make_call() for _ in range(100)))
        log.flush()
        gate.open()
        told |= tell(log, *(make_call() for _ in range(100)))
        log.flush()
        gate.close()
    gate.open()
    log.close()
    assert logged_ids(settings) == told
    assert spilled_ids(tmp_path) == set()
    said = [record.message for record in caplog.records if record.name == "avionics.calls.saver"]
    assert [line.split(" (")[0] for line in said if "not" in line] == ["the database does not take calls"] * 2


def test_calls_wait_while_the_database_is_locked(tmp_path: Path, make_call: MakeCall) -> None:
    """Another program holds SQLite's lock: the calls are in the spill file, and come home with the next opening."""
    settings = settings_for(f"sqlite:///{tmp_path}/calls.db?timeout=0.1", tmp_path)
    log = CallLog(settings)
    told = tell(log, make_call())
    log.flush()
    with closing(sqlite3.connect(tmp_path / "calls.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        waiting = tell(log, make_call(), make_call())
        log.flush()
        assert spilled_ids(tmp_path) == waiting
        log.close()
        other.execute("ROLLBACK")
    assert logged_ids(settings) == told | waiting
    assert spilled_ids(tmp_path) == set()


def test_what_a_dead_process_spilled_is_picked_up_by_the_next_log(tmp_path: Path, make_call: MakeCall) -> None:
    """Also when its last line is cut off; but not from a process that still writes."""
    settings = settings_for(f"sqlite:///{tmp_path}/calls.db", tmp_path)
    dead, alive = Spill(tmp_path / "spill"), Spill(tmp_path / "spill")
    old, present = make_call(), make_call()
    dead.append([call_rows(*old)])
    dead.seal()
    (file,) = (tmp_path / "spill").glob("*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"call": {"id": "01')
    alive.append([call_rows(*present)])
    log = CallLog(settings)
    new = tell(log, make_call())
    log.close()
    assert logged_ids(settings) == new | {old[0].call_id}
    assert spilled_ids(tmp_path) == {present[0].call_id}
    alive.seal()
    assert logged_ids(settings) == new | {old[0].call_id, present[0].call_id}


def test_a_call_that_the_database_refuses_keeps_no_other_from_it(tmp_path: Path, make_call: MakeCall) -> None:
    """It is put aside in a file that is not read back."""
    settings = settings_for(f"sqlite:///{tmp_path}/calls.db", tmp_path)
    spill = Spill(tmp_path / "spill")
    good = [call_rows(*make_call()) for _ in range(3)]
    refused = LogRows(call={**(good[1].call or {}), "outcome": None}, attempts=good[1].attempts)
    spill.append([good[0], refused, good[2]])
    spill.seal()
    assert logged_ids(settings) == {call_id(good[0]), call_id(good[2])}
    (aside,) = (tmp_path / "spill").iterdir()
    assert call_id(LogRows.from_json(aside.read_bytes())) == call_id(refused)


def test_what_an_older_version_spilled_is_read_back(tmp_path: Path, make_call: MakeCall) -> None:
    """It knows nothing of later columns, and they are unknown."""
    settings = settings_for(f"sqlite:///{tmp_path}/calls.db", tmp_path)
    rows = call_rows(*make_call(tenant="acme", variant="tone/warm"))
    older = {name: value for name, value in (rows.call or {}).items() if name not in {"variant", "session_id", "cache"}}
    (tmp_path / "spill").mkdir()
    line = json.dumps({"call": older, "attempts": rows.attempts, "contents": []})
    (tmp_path / "spill" / "older.jsonl").write_text(line + "\n", encoding="utf-8")
    with CallHistory(settings) as history:
        (call,) = history.calls()
    assert (call.id, call.tenant, call.variant, call.attempts) == (call_id(rows), "acme", None, 1)


def test_neither_file_can_be_made_and_that_is_said(
    tmp_path: Path, make_call: MakeCall, caplog: pytest.LogCaptureFixture
) -> None:
    """Where there is no place for a call at all, it is counted, and reported at the end."""
    (tmp_path / "file").write_text("no directory", encoding="utf-8")
    settings = settings_for(f"sqlite:///{tmp_path}/file/calls.db", tmp_path / "file")
    log = CallLog(settings)
    tell(log, make_call(), make_call())
    log.close()
    assert caplog.records[-1].message.startswith("2 calls were not logged: neither the database nor ")


def test_who_asks_is_told_why_the_database_does_not_answer(tmp_path: Path) -> None:
    """The driver's words, and never a password."""
    url = f"postgresql://ada:open-sesame@127.0.0.1:{closed_port()}/calls"
    with pytest.raises(DatabaseUnavailableError) as caught:
        CallHistory(settings_for(url, tmp_path))
    assert "refused" in str(caught.value).lower()
    assert "open-sesame" not in str(caught.value)


def test_a_url_that_cannot_be_read_is_named_without_its_password(tmp_path: Path) -> None:
    """The field and what is expected; the value may hold a password."""
    with pytest.raises(ConfigurationError, match=r"^database\.url: not a URL that can be read") as caught:
        CallHistory(settings_for("postgresql://ada:open-sesame@127.0.0.1:port/calls", tmp_path))
    assert "open-sesame" not in str(caught.value)
