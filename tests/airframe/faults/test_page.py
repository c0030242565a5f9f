"""The documentation of faults, held against the table that is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_page_says_what_is_tested() -> None:
    """The tables of docs/explanation/faults.md are the ones that the suite runs; scripts/fault_table.py writes them."""
    check = subprocess.run([sys.executable, ROOT / "scripts" / "fault_table.py", "--check"], check=False)
    assert check.returncode == 0, "run: python scripts/fault_table.py"
