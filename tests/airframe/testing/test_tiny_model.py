"""The scripted model file; what it says is tested on real servers in tests/integration."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import pytest

from airframe.testing.tiny_model import CONTEXT_LENGTH, write_tiny_model


def test_the_same_call_writes_the_same_bytes(tmp_path: Path) -> None:
    """The file depends on nothing but the arguments, and the looping model is another one."""
    first, second = write_tiny_model(tmp_path / "a.gguf"), write_tiny_model(tmp_path / "b.gguf")
    assert first.read_bytes() == second.read_bytes()
    assert write_tiny_model(tmp_path / "c.gguf", loop=True).read_bytes() != first.read_bytes()


def test_writers_may_race(tmp_path: Path) -> None:
    """Whoever comes last wins, the file is whole, and nothing is left beside it."""
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(write_tiny_model, [tmp_path / "tiny.gguf"] * 4))
    assert paths == [tmp_path / "tiny.gguf"] * 4
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.gguf"]
    assert paths[0].read_bytes() == write_tiny_model(tmp_path / "alone.gguf").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """The file appears whole or not at all: a target that cannot be replaced stays, and nothing lies beside it."""
    target = tmp_path / "tiny.gguf"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(OSError, match=r"tiny\.gguf"):
        write_tiny_model(target)
    assert [path.name for path in tmp_path.rglob("*")] == ["tiny.gguf", "kept"]


def test_the_file_states_its_context(tmp_path: Path) -> None:
    """Runtimes read the context length that `CONTEXT_LENGTH` promises."""
    field = gguf.GGUFReader(write_tiny_model(tmp_path / "tiny.gguf")).get_field("llama.context_length")
    assert field is not None
    assert field.contents() == CONTEXT_LENGTH
