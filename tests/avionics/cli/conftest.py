"""The command line as its users meet it: in this process for what it prints, as a process for how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from typer.testing import CliRunner, Result

from airframe.testing.plugin import ServerMaker
from airframe.testing.tiny_model import write_tiny_model
from avionics.cli.app import app
from avionics.embedded import EmbeddedLlamaServer
from avionics.settings import reset_settings

COMMAND = [sys.executable, "-c", "from avionics.cli import main; main()"]

Run: TypeAlias = Callable[..., Result]
Start: TypeAlias = Callable[..., subprocess.Popen[bytes]]
Serve: TypeAlias = Callable[..., str]


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedLlamaServer]:
    """A real llama.cpp server with the scripted model."""
    with EmbeddedLlamaServer() as running:
        yield running


@pytest.fixture(scope="session")
def loop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedLlamaServer]:
    """The same with the model that does not stop before its context is full."""
    model = write_tiny_model(tmp_path_factory.mktemp("models") / "loop.gguf", loop=True)
    with EmbeddedLlamaServer(model, slots=1) as running:
        yield running


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, server: EmbeddedLlamaServer) -> Iterator[Run]:
    """Runs the command in this process, on the scripted model unless variables say otherwise."""

    def run_command(*arguments: str, stdin: str = "", **variables: str) -> Result:
        for name, value in {"AVIONICS_LLAMASERVER_HOST": server.base_url, **variables}.items():
            monkeypatch.setenv(name, value)
        reset_settings()
        return CliRunner().invoke(app, arguments, input=stdin, prog_name="avionics")

    yield run_command
    reset_settings()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command as a process of its own; its standard streams are pipes."""
    started: list[subprocess.Popen[bytes]] = []

    def start_command(*arguments: str, stdin: int = subprocess.DEVNULL, **variables: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pipesize=4096,  # the least that Linux gives, so that a long answer waits for its reader
            env={**os.environ, "PYTHONUNBUFFERED": "", **variables},  # buffered, as users have it
        )
        started.append(process)
        return process

    yield start_command
    for process in started:
        process.kill()
        with process:
            pass


@pytest.fixture
def serve(airframe_server: ServerMaker) -> Serve:
    """Starts a llama-server that answers from a script, and gives its URL."""
    return lambda *steps: airframe_server(steps, dialect="llama_server").base_url
