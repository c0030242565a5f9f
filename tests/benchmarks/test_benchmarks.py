"""The benchmarks work; what they measure is asserted nowhere, as it depends on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PAGE = """
<!-- benchmark: begin -->
old
<!-- benchmark: end -->
rest
"""


@pytest.mark.timeout(180)  # it starts two dozen interpreters
def test_every_client_goes_through_every_scenario(tmp_path: Path) -> None:
    """All clients that are installed read every answer to its end, and the page gets their figures."""
    page = tmp_path / "performance.md"
    page.write_text(PAGE, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--size", "tiny", "--write", page],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    written = page.read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in written.splitlines() if line.startswith("| 1,000 slow streams")]
    ratios, microseconds = rows
    figures = [float(cell.strip(" |")) for cell in ratios[2:] + microseconds[3:]]
    assert len(figures) >= 10
    assert all(figure > 0 for figure in figures)
    assert "old" not in written
    assert written.endswith("rest\n")
