"""Rules of this project that no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = {".cfg", ".ini", ".json", ".md", ".py", ".pyi", ".sh", ".toml", ".txt", ".yaml", ".yml"}
PASSING = {".cache", ".nox", ".venv", "__pycache__", "build", "dist", "site"}

EMPTY_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
MACHINE_PATH = re.compile(rf"(?<![\w.~/-])(?:/(?:home|root|Users)/|{re.escape(str(ROOT))}\b)")
PATCHED_HTTPX = re.compile(
    r"""(?:setattr|patch(?:\.object)?)\(\s*["']?httpx2?\b|^\s*httpx2?(?:\.\w+)+\s*=[^=]""", re.MULTILINE
)

HAND_MADE = re.compile(
    r"""^(?:import|from)\ (?:http\.server|socketserver|respx|pytest_httpx|responses)\b
        | \b(?:start_server|start_unix_server|loop\.create_server)\(
        | \b(?:MockTransport|ASGITransport)\b
        | ^class\ \w+\(Adapter\):""",
    re.MULTILINE | re.VERBOSE,
)


def test_httpx_is_not_patched() -> None:
    """Tests stand at the door that httpx offers, its transport, or run a real server."""
    assert [path for path, text in texts("tests") if PATCHED_HTTPX.search(text)] == []


def test_backends_are_played_by_airframe_testing() -> None:
    """Tests fake backends with what users get for it: no server, transport or adapter of their own making."""
    # The server of the benchmarks is as fast as one can be, so that it is not what is measured.
    allowed = {"tests/benchmarks/bench/upstream.py", "tests/test_house_rules.py"}
    assert [
        (path, found.group())
        for path, text in texts("tests")
        if path not in allowed and path.endswith(".py") and (found := HAND_MADE.search(text))
    ] == []


def test_no_path_of_one_machine() -> None:
    """What is shipped works on any machine."""
    shipped = texts("packages", "docs", "scripts", "tests", "typings", "noxfile.py", "README.md", "CONTRIBUTING.md")
    assert [(path, found.group()) for path, text in shipped if (found := MACHINE_PATH.search(text))] == []


def test_every_file_has_a_subject() -> None:
    """No file is named after nothing: such files grow without end."""
    assert [
        path for path, _ in texts("packages", "tests", "scripts") if Path(path).stem.strip("_") in EMPTY_NAMES
    ] == []


def test_every_test_states_its_promise() -> None:
    """A test's docstring says in a sentence what breaks when it fails."""
    silent = [
        f"{path}::{node.name}"
        for path, text in texts("tests")
        if Path(path).name.startswith("test_")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if ast.get_docstring(node) is None
    ]
    assert silent == []


def texts(*names: str) -> Iterator[tuple[str, str]]:
    """(path, content) of the text files in these files and folders of the repository."""
    for name in names:
        for path in sorted((ROOT / name).rglob("*")) if (ROOT / name).is_dir() else [ROOT / name]:
            if path.is_file() and path.suffix in TEXT and not PASSING & set(path.relative_to(ROOT).parts):
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
