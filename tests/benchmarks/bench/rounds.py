"""All clients in turn, round after round: what else runs on the machine then weighs on all of them alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from itertools import product
from statistics import median
from typing import IO, Self, cast

from bench.clients import CLIENTS
from bench.scenarios import Scenario
from bench.worker import Figures

__all__ = ["Cell", "run_rounds"]

_ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # litellm fetches its prices otherwise


@dataclass(slots=True)
class Cell:
    """What one client showed in one scenario, a value for each round: microseconds of CPU a unit, MB, milliseconds."""

    client: list[float] = field(default_factory=list[float])
    upstream: list[float] = field(default_factory=list[float])
    memory: list[float] = field(default_factory=list[float])
    late: list[float] = field(default_factory=list[float])

    @property
    def cpu(self) -> float:
        """The client's, in the median."""
        return median(self.client)


class _Process:
    """A process that answers each line with a line, and ends when its input is closed."""

    def __init__(self, python: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [python, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **_ENVIRONMENT},
        )

    def read(self) -> str:
        """Its next line. Raises `RuntimeError` when it has ended."""
        if line := cast("IO[str]", self._process.stdout).readline():
            return line
        raise RuntimeError(f"{' '.join(cast('list[str]', self._process.args))} ended with {self._process.wait()}")

    def ask(self, line: str) -> str:
        """Its answer to `line`."""
        stdin = cast("IO[str]", self._process.stdin)
        stdin.write(f"{line}\n")
        stdin.flush()
        return self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()


class _Upstream:
    def __init__(self, process: _Process) -> None:
        self._port = int(process.read())
        self.url = f"http://127.0.0.1:{self._port}"

    def cpu(self) -> float:
        """The CPU microseconds that it has used."""
        connection = HTTPConnection("127.0.0.1", self._port)
        connection.request("GET", "/cpu")
        seconds: float = json.load(connection.getresponse())["cpu"]
        connection.close()
        return seconds * 1e6


class _Workers:
    """A process for each client, and another one for each scenario whose memory is measured."""

    def __init__(self, stack: ExitStack, pythons: Mapping[str, str], url: str) -> None:
        self._pythons = pythons
        self._url = url
        self._lasting = {name: stack.enter_context(self._start(name)) for name in pythons}

    def measure(self, name: str, scenario: Scenario) -> Figures:
        """One round of one client."""
        order = json.dumps(asdict(scenario))
        if not scenario.fresh:
            return Figures(**json.loads(self._lasting[name].ask(order)))
        with self._start(name) as worker:
            return Figures(**json.loads(worker.ask(order)))

    def _start(self, name: str) -> _Process:
        return _Process(self._pythons[name], "bench.worker", name, self._url)


def run_rounds(
    scenarios: Sequence[Scenario], pythons: Mapping[str, str], *, rounds: int
) -> Mapping[Scenario, Mapping[str, Cell]]:
    """Measure the clients, each of which runs in the Python that `pythons` names for it."""
    cells: dict[Scenario, dict[str, Cell]] = {scenario: {} for scenario in scenarios}
    with ExitStack() as stack:
        upstream = _Upstream(stack.enter_context(_Process(sys.executable, "bench.upstream")))
        workers = _Workers(stack, pythons, upstream.url)
        for number in range(rounds):
            for scenario, name in product(scenarios, _turned(list(pythons), number)):
                # A fresh process takes long, and has many events: every fourth round has one.
                if scenario.kind in CLIENTS[name].lacks or (scenario.fresh and number % 4):
                    continue
                before = upstream.cpu()
                figures = workers.measure(name, scenario)
                cell = cells[scenario].setdefault(name, Cell())
                cell.upstream.append((upstream.cpu() - before) / scenario.units / scenario.repeats)
                cell.client.append(figures.cpu)
                cell.memory.append(figures.memory)
                if figures.late is not None:
                    cell.late.append(figures.late)
            print(f"round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    return cells


def _turned(names: list[str], places: int) -> list[str]:
    """Everybody is first once."""
    places %= len(names)
    return names[places:] + names[:places]
