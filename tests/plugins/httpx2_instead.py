"""A pytest plugin that puts httpx2 in the place of httpx; the session `httpx2` of noxfile.py uses it.

A plugin that the command line names (`-p httpx2_instead`) is loaded before anything of ours can import httpx.
"""

from __future__ import annotations

import httpx2

httpx2.alias_httpx()


def pytest_report_header() -> str:
    """Says on what the tests run."""
    return f"httpx is httpx2 {httpx2.__version__}"
