"""Real llama.cpp servers: xllamacpp's, and the separately built one that AIRFRAME_LLAMA_SERVER_BIN names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.tiny_model import write_tiny_model

BINARY_VARIABLE = "AIRFRAME_LLAMA_SERVER_BIN"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what lies here as `integration`, and what asks for a llama.cpp server as `real_llama`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("integration")
            if isinstance(item, pytest.Function) and "llama_binary" in item.fixturenames:
                item.add_marker("real_llama")


needs_binary = pytest.mark.skipif(BINARY_VARIABLE not in os.environ, reason=f"{BINARY_VARIABLE} names no llama-server")


@pytest.fixture(scope="session", params=["xllamacpp", pytest.param("binary", marks=needs_binary)])
def llama_binary(request: pytest.FixtureRequest) -> Path | None:
    """The built llama-server to run; None is the one in xllamacpp. Every test that asks for it runs on both."""
    return Path(os.environ[BINARY_VARIABLE]) if request.param == "binary" else None


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripted model that gives its one answer and stops."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def loop_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripted model that talks until the context is full."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "loop.gguf", loop=True)


@pytest.fixture(scope="session")
def llama_server(tiny_model: Path, llama_binary: Path | None) -> Iterator[LlamaServerProcess]:
    """A server shared by all tests, with 2 slots of 2048 tokens; a test that suspends or kills starts its own."""
    with LlamaServerProcess(tiny_model, binary=llama_binary) as server:
        yield server


@pytest.fixture(scope="session")
def loop_llama_server(loop_model: Path, llama_binary: Path | None) -> Iterator[LlamaServerProcess]:
    """The same with the model that never ends its answer by itself."""
    with LlamaServerProcess(loop_model, binary=llama_binary) as server:
        yield server
