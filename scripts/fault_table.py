"""Writes the table of faults into docs/explanation/faults.md, from the table that the tests run.

python scripts/fault_table.py           rewrite the page
python scripts/fault_table.py --check   say whether it is up to date, by the exit code
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from airframe.testing.hostile import FAULTS, TRAFFIC, Fault, Outcome

PAGE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "faults.md"
BEGIN, END = "<!-- faults: written by scripts/fault_table.py -->", "<!-- end of faults -->"


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    written = "\n".join([before + BEGIN, "", *table(), "", END + after]) if rest else page
    if "--check" in sys.argv:
        return int(written != page or not rest)
    PAGE.write_text(written, encoding="utf-8")
    return 0


def table() -> Iterator[str]:
    """The chapters, as Markdown."""
    for number, section in enumerate(FAULTS):
        yield from [""] * bool(number)
        yield from [f"### {section.title}", "", "| injected | streamed | whole |", "| --- | --- | --- |"]
        for fault in section:
            yield f"| {fault.injected}{where(fault)} | {cell(fault.stream)} | {cell(fault.whole)} |"


def where(fault: Fault) -> str:
    """In which wire formats a fault can happen, where not in all."""
    names = [name for name, traffic in TRAFFIC.items() if fault.happens_in(traffic)]
    return "" if len(names) == len(TRAFFIC) else f" ({', '.join(names)})"


def cell(outcome: Outcome | None) -> str:
    return "" if outcome is None else str(outcome)


if __name__ == "__main__":
    sys.exit(main())
