"""The figures as Markdown, between two markers of a page."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.clients import CLIENTS, FLOOR
from bench.imports import ImportCost
from bench.rounds import Cell
from bench.scenarios import Scenario

__all__ = ["circumstances", "markdown", "write_between_markers"]

SLOW = """\
The slow streams: the most memory that the process held, and within what time 99 % of the events of their second half
came from the server to the caller."""
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"


def markdown(
    cells: Mapping[Scenario, Mapping[str, Cell]], imports: Mapping[str, ImportCost], circumstances: Sequence[str]
) -> str:
    """Under what circumstances, a table of ratios, one of microseconds, and one of imports."""
    shown = {name for row in cells.values() for name in row}
    names = [name for name in CLIENTS if name in shown]
    parts = [
        "\n".join(f"- {line}" for line in circumstances),
        f"CPU time of the client as a multiple of `{FLOOR}` in the same run; less is better.",
        _table(
            ["scenario", *names],
            [[scenario.name, *(_ratio(row, name) for name in names)] for scenario, row in cells.items()],
        ),
        "The same in microseconds, for each event or call. `upstream` is what the server spent, in the median of all.",
        _table(
            ["scenario", "per", *names, "upstream"],
            [
                [scenario.name, scenario.unit, *(_microseconds(row, name) for name in names), _upstream(row)]
                for scenario, row in cells.items()
            ],
        ),
    ]
    if held := [row for scenario, row in cells.items() if scenario.fresh]:
        parts += [
            SLOW,
            _table(
                ["", *names],
                [
                    line
                    for row in held
                    for line in (
                        ["MB", *(_memory(row, name) for name in names)],
                        ["ms", *(_late(row, name) for name in names)],
                    )
                ],
            ),
        ]
    if imports:
        parts += [
            "What an import costs, in a fresh process.",
            _table(
                ["import", "CPU seconds", "modules"],
                [[f"`{statement}`", f"{cost.cpu:.2f}", str(cost.modules)] for statement, cost in imports.items()],
            ),
        ]
    return "\n\n".join(parts)


def circumstances(command: str, rounds: int, versions: Mapping[str, str], loads: Sequence[float]) -> Sequence[str]:
    """What one must know to judge the figures."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{os.cpu_count()} CPUs ({platform.machine()}), {platform.system()}, {python}"
    return [
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {rounds} rounds, medians",
        f"{machine}, load average {loads[0]:.1f} at the beginning and {loads[-1]:.1f} at the end",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def write_between_markers(page: Path, text: str) -> None:
    """Replace what stands between the markers. Raises `ValueError` for a page without them."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN} and {END} to write between")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratio(row: Mapping[str, Cell], name: str) -> str:
    if name not in row or FLOOR not in row:
        return ""
    ratio = row[name].cpu / row[FLOOR].cpu
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2f}"


def _microseconds(row: Mapping[str, Cell], name: str) -> str:
    return _rounded(row[name].cpu) if name in row else ""


def _upstream(row: Mapping[str, Cell]) -> str:
    values = sorted(value for cell in row.values() for value in cell.upstream)
    return _rounded(values[len(values) // 2])


def _memory(row: Mapping[str, Cell], name: str) -> str:
    return f"{max(row[name].memory):.0f}" if name in row else ""


def _late(row: Mapping[str, Cell], name: str) -> str:
    return _rounded(median(row[name].late)) if name in row and row[name].late else ""


def _rounded(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
