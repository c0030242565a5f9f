"""Measure, and print the table: `python -m bench`; `nox -s bench` sets up what it needs."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.clients import CLIENTS, FLOOR
from bench.imports import import_costs
from bench.rounds import run_rounds
from bench.scenarios import FULL, QUICK, TINY
from bench.table import circumstances, markdown, write_between_markers

__all__ = ["main"]

PEERS = [name for name, entry in CLIENTS.items() if entry.peer]
SIZES = {"full": (FULL, 9), "quick": (QUICK, 3), "tiny": (TINY, 1)}
_VERSION = "from importlib.metadata import version; import sys; print(version(sys.argv[1]))"


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--size", choices=SIZES, default="full", help="quick takes less than two minutes")
    parser.add_argument("--rounds", type=int, help="how often all clients take their turn")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, metavar="NAME", help="only these, beside the floor")
    parser.add_argument("--scenarios", nargs="+", metavar="WORD", help="only those with one of these words in the name")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[], metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--environments", type=Path, help="where each peer has its Python: FOLDER/NAME/bin/python")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the markers of this page")
    options = parser.parse_args(arguments)

    sizes, usual_rounds = SIZES[options.size]
    rounds = options.rounds or usual_rounds
    words: Sequence[str] = options.scenarios or [""]
    scenarios = [scenario for scenario in sizes if any(word in scenario.name for word in words)]
    pythons = _pythons(options.clients, options.peers, options.environments)
    loads = [os.getloadavg()[0]]
    cells = run_rounds(scenarios, pythons, rounds=rounds)
    imports = import_costs({} if options.scenarios else pythons, rounds=rounds)
    loads.append(os.getloadavg()[0])
    command = " ".join(["nox -s bench", *(["--", *_shown(arguments)] if _shown(arguments) else [])])
    text = markdown(cells, imports, circumstances(command, rounds, _versions(pythons), loads))
    print(text)
    if options.write:
        write_between_markers(options.write, text)


def _pythons(wanted: Sequence[str] | None, peers: Sequence[str], environments: Path | None) -> Mapping[str, str]:
    """Which Python runs which client. Raises `SystemExit` for a peer that is nowhere."""
    found: dict[str, str] = {}
    for name, entry in CLIENTS.items():
        if entry.peer and name in peers:
            python = environments / name / "bin" / "python" if environments else Path(sys.executable)
            if not python.exists():
                raise SystemExit(f"--peers {name}: there is no {python}; `nox -s bench -- --peers {name}` makes it")
            found[name] = str(python)
        elif not entry.peer and entry.installed and (not wanted or name in {*wanted, FLOOR}):
            found[name] = sys.executable
    return found


def _versions(pythons: Mapping[str, str]) -> Mapping[str, str]:
    """Of what each client stands on."""
    wanted = {"httpx": FLOOR, "aiohttp": "aiohttp bytes", **{CLIENTS[name].distribution: name for name in PEERS}}
    return {
        distribution: subprocess.run(
            [pythons[name], "-c", _VERSION, distribution], check=True, capture_output=True, text=True
        ).stdout.strip()
        for distribution, name in wanted.items()
        if name in pythons
    }


def _shown(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments that a person gave: not the paths that nox adds behind them."""
    shown = list(arguments)
    for option in ("--environments", "--write"):
        if option in shown:
            del shown[shown.index(option) : shown.index(option) + 2]
    return shown


if __name__ == "__main__":
    main(sys.argv[1:])
