"""The llama.cpp server that runs in the process."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import urllib.request
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from airframe.testing.tiny_model import REPLY, write_tiny_model
from avionics.embedded import EmbeddedLlamaServer, tiny_model
from avionics.errors import ConfigurationError

pytestmark = pytest.mark.real_llama


def test_it_serves_the_scripted_model_while_the_context_lasts() -> None:
    """Inside the context a chat is answered over HTTP on loopback, outside of it nobody listens."""
    with EmbeddedLlamaServer() as server:
        url = server.base_url
        assert url.startswith("http://127.0.0.1:")
        answer = call(f"{url}/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0})
    assert answer["choices"][0]["message"]["content"] == REPLY
    assert answer["model"] == EmbeddedLlamaServer.model_name
    with pytest.raises(OSError, match="refused"):
        call(f"{url}/health")


def test_two_run_side_by_side() -> None:
    """Each server has its own port, and the end of one leaves the other alone."""
    with EmbeddedLlamaServer() as first:
        with EmbeddedLlamaServer() as second:
            assert first.base_url != second.base_url
        assert call(f"{first.base_url}/health") == {"status": "ok"}


def test_it_may_be_stopped_at_once() -> None:
    """A server that nobody asked anything stops as well; in a process of its own, because a hang would hold the GIL."""
    program = (
        "from avionics.embedded import EmbeddedLlamaServer\nfor _ in range(20):\n with EmbeddedLlamaServer(): pass"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=150)


def test_outside_of_its_context_it_has_no_address() -> None:
    """A server that does not run names no address that somebody might call."""
    with pytest.raises(RuntimeError, match="inside its context"):
        _ = EmbeddedLlamaServer().base_url


def test_it_writes_nothing_to_the_terminal() -> None:
    """llama.cpp, which logs below Python, is silent: on loading, on an answer and on an error."""
    program = """
import json, urllib.error, urllib.request
from avionics.embedded import EmbeddedLlamaServer
with EmbeddedLlamaServer() as server:
    for text in ("Hi", "Hi" * 5000):
        body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
        try:
            urllib.request.urlopen(urllib.request.Request(server.base_url + "/v1/chat/completions", body)).read()
        except urllib.error.HTTPError as error:
            error.close()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")


def test_verbose_lets_llama_cpp_speak() -> None:
    """With `verbose` the log of llama.cpp is there for whoever looks for a fault."""
    program = "from avionics.embedded import EmbeddedLlamaServer\nwith EmbeddedLlamaServer(verbose=True): pass"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "tiny-scripted" in run.stderr


def test_the_model_is_written_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file appears in the cache folder on first use and is taken from there afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tiny_model()
    assert tmp_path in path.parents
    assert path.read_bytes() == write_tiny_model(tmp_path / "reference.gguf").read_bytes()
    written = path.stat().st_mtime_ns
    assert tiny_model() == path
    assert path.stat().st_mtime_ns == written
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says which folder, and how to choose another."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match="XDG_CACHE_HOME"):
        tiny_model()


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """A broken model gives one error that names the file."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model")
    with pytest.raises(ConfigurationError, match=r"broken\.gguf"), EmbeddedLlamaServer(broken):
        pass


@pytest.mark.parametrize("package", ["xllamacpp", "gguf", "numpy"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Without one of its packages the server says which one, and what installs it."""
    find_spec = importlib.util.find_spec

    def without_package(name: str) -> ModuleSpec | None:
        return None if name == package else find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_package)
    with pytest.raises(ConfigurationError, match=rf"{package}.*jeeves-avionics\[demo\]"):
        EmbeddedLlamaServer()


def call(url: str, body: object = None) -> Any:
    """The JSON that a server answers."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as response:
        return json.load(response)
