"""The tests' tools without the packages they need."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("missing", "statement", "extra"),
    [
        ("gguf", "import airframe.testing.tiny_model", "tiny-model"),
        ("numpy", "import airframe.testing.tiny_model", "tiny-model"),
        ("xllamacpp", "LlamaServerProcess(Path('tiny.gguf'))", "llamacpp"),
    ],
)
def test_the_error_names_the_package_and_the_extra(missing: str, statement: str, extra: str) -> None:
    """Who lacks an optional package is told which, and what to install, before anything is started."""
    script = (
        "import sys; from pathlib import Path; from airframe.testing.llama_server import LlamaServerProcess\n"
        f"sys.modules[{missing!r}] = None\n"
        f"{statement}"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ")
    assert missing in last
    assert last.endswith(f"pip install 'jeeves-airframe[{extra}]'")
