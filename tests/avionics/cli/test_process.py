"""The command as a process: signals, pipes, terminals, and what it loads."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

from airframe.testing.tiny_model import REPLY
from avionics.cli import main
from avionics.embedded import EmbeddedLlamaServer

pytestmark = pytest.mark.real_llama

Start = Callable[..., "subprocess.Popen[bytes]"]
Serve = Callable[..., str]

ESCAPE = "\x1b[31mred\x07"


def test_the_command_is_installed() -> None:
    """The distribution brings a program `avionics`."""
    (command,) = entry_points(group="console_scripts", name="avionics")
    assert command.load() is main


def test_a_prompt_is_piped_in_and_an_answer_out(start: Start, server: EmbeddedLlamaServer) -> None:
    """In a shell's pipeline the command reads to the end of its input and writes the answer."""
    process = start("complete", "-t", "0", stdin=subprocess.PIPE, AVIONICS_LLAMASERVER_HOST=server.base_url)
    assert process.communicate(b"Hi\n", timeout=150) == (f"{REPLY}\n".encode(), b"")
    assert process.returncode == 0


def test_a_closed_pipe_ends_the_command_quietly(start: Start, loop_server: EmbeddedLlamaServer) -> None:
    """`avionics complete ... | head -1` shows no traceback; the exit code is the shell's for SIGPIPE."""
    process = start("complete", "Hi", "-t", "0", AVIONICS_LLAMASERVER_HOST=loop_server.base_url)
    assert process.stdout
    assert process.stderr
    assert process.stdout.read(5) == b"Hello"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(50) == 141


@pytest.mark.parametrize(("command", "code"), [("models", 141), ("doctor", 141), ("demo", 141), ("--help", 1)])
def test_every_command_bears_a_closed_pipe(start: Start, server: EmbeddedLlamaServer, command: str, code: int) -> None:
    """Whatever prints, its reader may leave; the help is printed by typer, which says 1 then."""
    process = start(command, AVIONICS_LLAMASERVER_HOST=server.base_url)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(50) == code


def test_ctrl_c_ends_the_command_with_130(start: Start, loop_server: EmbeddedLlamaServer) -> None:
    """What has come stays on standard output, and no traceback follows."""
    # More than fits into the pipe: the command is still at it when the signal comes, however slow this machine is.
    process = start("complete", "Hi", "-t", "0", "--max-tokens", "4000", AVIONICS_LLAMASERVER_HOST=loop_server.base_url)
    assert process.stdout
    assert process.stdout.read(5) == b"Hello"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=150)
    assert (process.returncode, errors) == (130, b"")


def test_a_terminal_is_not_waited_for(start: Start) -> None:
    """Without a prompt at a terminal the command says so instead of seeming to hang."""
    controller, terminal = pty.openpty()
    process = start("complete", stdin=terminal)
    output, errors = process.communicate(timeout=150)
    os.close(terminal)
    os.close(controller)
    assert (process.returncode, output) == (2, b"")
    assert b"there is no prompt" in errors


def test_a_terminal_does_not_obey_the_answer(serve: Serve) -> None:
    """Escape sequences of a model do not reach a terminal, where they could rewrite what one has read."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-c", "from avionics.cli import main; main()", "complete", "Hi"]
    environment = {**os.environ, "AVIONICS_LLAMASERVER_HOST": serve(ESCAPE)}
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=terminal, env=environment, check=True, timeout=150)
    shown = os.read(controller, 1000)
    os.close(terminal)
    os.close(controller)
    assert shown == b"[31mred\r\n"


def test_a_pipe_gets_the_answer_as_it_is(start: Start, serve: Serve) -> None:
    """Programs get every character."""
    process = start("complete", "Hi", AVIONICS_LLAMASERVER_HOST=serve(ESCAPE))
    assert process.communicate(timeout=150) == (b"\x1b[31mred\x07\n", b"")


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_its_extra_the_command_says_how_to_get_it(package: str) -> None:
    """One line names the extra, and the exit code is that of a wrong configuration."""
    program = (
        "import importlib.util; find_spec = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *rest: None if name == {package!r} else find_spec(name, *rest)\n"
        "from avionics.cli import main; main()"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"avionics: the command line needs {package}: pip install 'jeeves-avionics[cli]'\n"


@pytest.mark.parametrize("arguments", [["--help"], ["complete", "--help"], ["--version"]])
def test_help_is_quick(arguments: list[str]) -> None:
    """Help and version load neither HTTP nor anything of airframe."""
    program = (
        "import sys; from avionics.cli import main\n"
        f"sys.argv = ['avionics', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "loaded = {'httpx', 'airframe', 'opentelemetry'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
