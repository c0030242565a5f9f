"""Replays recorded exchanges with real backends through airframe's wire formats, and reports what came out.

    python scripts/replay_report.py FOLDER [--backend NAME] [--each]

FOLDER is one that `airframe.testing.recorded` reads; without it, the environment variable AIRFRAME_EXCHANGES names it.
`--each` prints a line for every exchange. The exit status is 1 when one was not understood.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from airframe.errors import ProtocolError
from airframe.testing.recorded import RecordedExchange, Replay, read_exchanges, replay

VARIABLE = "AIRFRAME_EXCHANGES"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Replays recorded exchanges through airframe's wire formats.")
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get(VARIABLE), help=f"default: ${VARIABLE}")
    parser.add_argument("--backend", help="only this one, such as openrouter")
    parser.add_argument("--each", action="store_true", help="a line for every exchange")
    options = parser.parse_args(arguments)
    if options.folder is None or not (Path(options.folder) / "index.json").is_file():
        parser.error(f"give the folder of the exchanges, which holds index.json, or set {VARIABLE}")
    report: dict[tuple[str, str], list[tuple[RecordedExchange, Replay]]] = {}
    for exchange in read_exchanges(Path(options.folder)):
        if options.backend in {None, exchange.backend}:
            report.setdefault((exchange.backend, exchange.surface), []).append((exchange, replay(exchange)))
    not_understood = 0
    for (backend, surface), replays in sorted(report.items()):
        print(f"{backend} {surface}: {len(replays)} replayed")
        _print_counts("finish", (str(done.result.finish_reason) for _, done in replays if done.result))
        _print_counts("errors", (str(done.error.category) for _, done in replays if done.error))
        _print_counts("unknown fields", (name for _, done in replays if done.result for name in done.result.extra))
        _print_counts(
            "warnings",
            (warning.subject for _, done in replays if done.result for warning in done.result.warnings),
        )
        for exchange, done in replays:
            broken = isinstance(done.error, ProtocolError)
            not_understood += broken
            if options.each or broken:
                print(f"    {exchange.id} {exchange.status} {exchange.kind}: {_outcome(done)}")
    total = sum(map(len, report.values()))
    print(f"{total} exchanges, {total - not_understood} understood, {not_understood} not")
    return 1 if not_understood else 0


def _outcome(done: Replay) -> str:
    if done.error is not None:
        return f"{done.error.category}: {done.error}"
    assert done.result is not None
    return f"{done.result.finish_reason}, {len(done.result.text)} characters, {len(done.result.tool_calls)} calls"


def _print_counts(what: str, values: Iterator[str]) -> None:
    if counts := Counter(values):
        print(f"    {what}: {', '.join(f'{name} {count}' for name, count in counts.most_common())}")


if __name__ == "__main__":
    sys.exit(main())
