"""The documentation's Python blocks, run as they stand.

A block after the line `<!-- run -->` is run, after those before it on the same page; a block after `<!-- prints -->` is
what they printed meanwhile. Pages speak of a llama.cpp server on http://localhost:8080, and get a real one. It also
stands in for LM Studio, on its usual port, and a fake server for Ollama.
"""

from __future__ import annotations

import ast
import re
from inspect import CO_COROUTINE
from itertools import repeat
from pathlib import Path
from types import FunctionType

import pytest

from airframe.testing import Answer
from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.server import FakeServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^<!-- (run|prints) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = {
    path.relative_to(ROOT).as_posix(): blocks
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("packages/*/*.md"), *ROOT.glob("docs/**/*.md")])
    if (blocks := BLOCK.findall(path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("page", PAGES)
async def test_examples_run(
    page: str, llama_server: LlamaServerProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every runnable block runs from top to bottom of its page and prints what the page says."""
    monkeypatch.setenv("AVIONICS_LLM_PROVIDER", "llamaserver")
    monkeypatch.setenv("AVIONICS_LLAMASERVER_HOST", llama_server.base_url)
    monkeypatch.setenv("AVIONICS_OPENAI_API_KEY", "made-up")
    names: dict[str, object] = {"__name__": "__main__"}
    with FakeServer(repeat(Answer(text="Hello!")), dialect="ollama") as ollama:
        for kind, text in PAGES[page]:
            if kind == "prints":
                assert capsys.readouterr().out.strip() == text.strip()
                continue
            for port, server in ((8080, llama_server), (1234, llama_server), (11434, ollama)):
                text = text.replace(f"http://localhost:{port}", server.base_url)
            await run(text, names)


async def run(source: str, names: dict[str, object]) -> None:
    """Runs statements as `python -m asyncio` would: `await` may stand outside a function."""
    code = compile(source, "documentation", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    statements = FunctionType(code, names)()
    if code.co_flags & CO_COROUTINE:
        await statements
