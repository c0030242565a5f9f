"""`avionics batch run`: a file of requests answered, whatever happens to the process."""

from __future__ import annotations

import json
import random
import subprocess
import threading
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner, Result

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.testing.plugin import ServerMaker
from airframe.types import InferenceRequest, Usage
from avionics.cli.app import app
from avionics.settings import reset_settings

Start: TypeAlias = Callable[..., "subprocess.Popen[bytes]"]
Run: TypeAlias = Callable[..., Result]

LINES = 40
PATIENCE = 120  # seconds; only a safety net


def echo(request: InferenceRequest) -> Answer:
    return Answer(text=f"answer to {request.messages[-1].text}", usage=Usage(input_tokens=3, output_tokens=4))


def fail_at_two(request: InferenceRequest) -> Answer | Failure:
    return Failure(ErrorCategory.INVALID_REQUEST) if request.messages[-1].text == "2" else echo(request)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of requests whose prompts are their numbers."""
    path = tmp_path / "in.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(LINES):
            body = {"messages": [{"role": "user", "content": str(number)}]}
            line = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(f"{json.dumps(line)}\n")
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the answers go."""
    return tmp_path / "out.jsonl"


@pytest.fixture
def run(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `avionics batch run` in this process; the first argument is the server's URL."""

    def run_command(url: str, *arguments: str) -> Result:
        monkeypatch.setenv("AVIONICS_LLAMASERVER_HOST", url)
        reset_settings()
        command = ("batch", "run", str(source), "-o", str(target), *arguments)
        return CliRunner().invoke(app, command, prog_name="avionics")

    return run_command


def answers(target: Path) -> dict[str, str | None]:
    """The text of each answer, None for a failure; a line that is torn or comes twice is an error."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in target.read_bytes().splitlines()]
    read = {line["custom_id"]: text_of(line) for line in lines}
    assert len(read) == len(lines), "a request has two lines"
    return read


def text_of(line: dict[str, Any]) -> str | None:
    response = line["response"]
    return response["body"]["choices"][0]["message"]["content"] if response and response["status_code"] == 200 else None


EXPECTED = {f"r{number}": f"answer to {number}" for number in range(LINES)}


class TestKilled:
    """SIGKILL, at any moment."""

    @pytest.mark.parametrize("seed", [1, 2])
    def test_every_request_is_answered_exactly_once(
        self, start: Start, airframe_server: ServerMaker, source: Path, target: Path, seed: int
    ) -> None:
        """Killed again and again while calls are under way, and begun anew: nothing is lost, nothing there twice."""
        chance = random.Random(seed)
        killer = Killer()
        server = airframe_server(repeat(killer.step), dialect="llama_server")
        command = ("batch", "run", str(source), "-o", str(target), "--concurrency", "4")
        for _ in range(4):
            before = whole_lines(target)
            asked = len(server.requests)
            killer.aim(chance.randint(1, 9))
            process = start(*command, AVIONICS_LLAMASERVER_HOST=server.base_url)
            killer.let_go(process)
            process.wait(PATIENCE)
            assert process.returncode == -9, f"seed {seed}: it was not killed"
            assert whole_lines(target).startswith(before), f"seed {seed}: what was written has changed"
            asked_again = {request.messages[-1].text for request in server.requests[asked:]}
            assert not asked_again & prompts_answered(before), f"seed {seed}: asked in spite of an answer"
        killer.rest()
        process = start(*command, AVIONICS_LLAMASERVER_HOST=server.base_url)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        assert answers(target) == EXPECTED, f"seed {seed}"

    def test_the_lock_ends_with_the_process(
        self, start: Start, airframe_server: ServerMaker, source: Path, target: Path
    ) -> None:
        """While one process writes, another one is refused; after it was killed, the next one is not."""
        arrived, may_answer = threading.Event(), threading.Event()

        def hold(request: InferenceRequest) -> Answer:
            arrived.set()
            may_answer.wait(PATIENCE)
            return echo(request)

        server = airframe_server(repeat(hold), dialect="llama_server")
        command = ("batch", "run", str(source), "-o", str(target))
        first = start(*command, AVIONICS_LLAMASERVER_HOST=server.base_url)
        assert arrived.wait(PATIENCE)
        second = start(*command, AVIONICS_LLAMASERVER_HOST=server.base_url)
        _, errors = second.communicate(timeout=PATIENCE)
        assert (second.returncode, errors.decode()) == (
            2,
            f"avionics: {target} is being written by another process; wait for it, or end it first\n",
        )
        first.kill()
        first.wait(PATIENCE)
        may_answer.set()
        third = start(*command, AVIONICS_LLAMASERVER_HOST=server.base_url)
        _, errors = third.communicate(timeout=PATIENCE)
        assert third.returncode == 0, errors
        assert answers(target) == EXPECTED


class Killer:
    """Kills a process when the server got so many requests; it plays the server's script."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = threading.Event()
        self._left: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def aim(self, requests: int) -> None:
        """The next process dies at the request with this number."""
        with self._lock:
            self._left, self._process = requests, None
            self._started.clear()

    def let_go(self, process: subprocess.Popen[bytes]) -> None:
        """This is the next process."""
        self._process = process
        self._started.set()

    def rest(self) -> None:
        """Nobody is killed any more."""
        with self._lock:
            self._left = None

    def step(self, request: InferenceRequest) -> Answer:
        with self._lock:
            if self._left is not None:
                self._left -= 1
                if self._left == 0:
                    self._started.wait(PATIENCE)
                    assert self._process is not None
                    self._process.kill()
        return echo(request)


def whole_lines(target: Path) -> bytes:
    """What of the file is safe: all but a torn last line."""
    if not target.exists():
        return b""
    written = target.read_bytes()
    return written[: written.rfind(b"\n") + 1]


def prompts_answered(written: bytes) -> set[str]:
    return {json.loads(line)["custom_id"].removeprefix("r") for line in written.splitlines()}


class TestOutcome:
    """What is printed, and the exit code."""

    def test_all_is_well(self, run: Run, airframe_server: ServerMaker, target: Path) -> None:
        """Exit code 0, nothing on standard output, one line on standard error."""
        result = run(airframe_server(repeat(echo), dialect="llama_server").base_url)
        assert (result.exit_code, result.stdout) == (0, "")
        told = result.stderr.strip()  # older versions of rich leave an empty line where the bar was
        assert told == f"avionics: {LINES} requests: {LINES} answered, 0 failed; {LINES} asked now for $0"
        assert answers(target) == EXPECTED

    def test_failures_are_data_and_the_exit_code_tells(
        self, run: Run, airframe_server: ServerMaker, target: Path
    ) -> None:
        """1 as long as the file has a failure, also where nothing was asked; asked again, they are answered."""
        failing = airframe_server(repeat(fail_at_two), dialect="llama_server").base_url
        result = run(failing)
        assert result.exit_code == 1
        assert f"{LINES - 1} answered, 1 failed" in result.stderr
        assert "--retry-failed" in result.stderr
        assert answers(target) == {**EXPECTED, "r2": None}
        well = airframe_server([echo], dialect="llama_server").base_url
        again = run(well)
        assert again.exit_code == 1
        assert "0 asked now" in again.stderr
        assert run(well, "--retry-failed").exit_code == 0
        assert answers(target) == EXPECTED

    def test_a_file_that_cannot_be_used_is_refused(self, run: Run, source: Path, target: Path) -> None:
        """Exit code 2 and the lines; no output is made."""
        with source.open("a", encoding="utf-8") as file:
            file.write('{"custom_id": "r0", "body": {}}\nnonsense\n')
        result = run("http://127.0.0.1:1")
        assert result.exit_code == 2
        assert f"line {LINES + 1}: custom_id 'r0' is taken by line 1" in result.stderr
        assert f"line {LINES + 2}: " in result.stderr
        assert not target.exists()

    def test_the_output_is_not_the_input(self, run: Run, source: Path, target: Path) -> None:
        """Also under another name."""
        target.symlink_to(source)
        before = source.read_bytes()
        result = run("http://127.0.0.1:1")
        assert (result.exit_code, source.read_bytes()) == (2, before)
        assert "need a file of their own" in result.stderr


class TestDryRun:
    """Looking before asking."""

    def test_it_tells_who_would_be_asked_at_what_price(self, run: Run, source: Path, target: Path) -> None:
        """Nothing is sent, nothing is written."""
        with source.open("a", encoding="utf-8") as file:
            file.write('{"custom_id": "x", "body": {"messages": 7}}\n')
        result = run("http://127.0.0.1:1", "--dry-run")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.splitlines()[-1] == f"line {LINES + 1}: messages must be a list, got int"
        figures = dict(line.rstrip().rsplit("  ", 1) for line in result.stdout.splitlines()[:-2])
        assert {name.strip(): figure for name, figure in figures.items()} == {
            "requests": str(LINES + 1),
            "answered": "0",
            "failed before": "0",
            "cannot be asked": "1",
            "to be asked": str(LINES),
            "llamaserver": str(LINES),
        }
        assert "$0 to $0" in result.stdout
        assert not target.exists()

    def test_failures_are_counted_only_when_they_would_be_asked(
        self, run: Run, airframe_server: ServerMaker, target: Path
    ) -> None:
        """With `--retry-failed`; the output stays as it is."""
        run(airframe_server(repeat(fail_at_two), dialect="llama_server").base_url)
        before = target.read_bytes()
        for options, count in (((), 0), (("--retry-failed",), 1)):
            result = run("http://127.0.0.1:1", "--dry-run", *options)
            assert [line.split()[-1] for line in result.stdout.splitlines() if "to be asked" in line] == [str(count)]
        assert target.read_bytes() == before
