"""A real llama.cpp HTTP server in a child process, for tests: xllamacpp's, or a separately built `llama-server`.

    with LlamaServerProcess(write_tiny_model(folder / "tiny.gguf")) as server:
        endpoint = EndpointSpec(base_url=server.base_url, backend_kind=BackendKind.LLAMA_SERVER)

It binds 127.0.0.1 only, and it dies with the process that started it, however that one dies. Linux only.

By hand, until standard input ends: `python -m airframe.testing.llama_server MODEL --port 8080`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

__all__ = ["LlamaServerProcess"]

_HOST = "127.0.0.1"
_KEY_VARIABLE = "LLAMA_API_KEY"  # llama.cpp's own name; as an argument the key would show in the process list
_LOG_TAIL_BYTES = 4000
_STOP_SECONDS = 3.0  # a llama-server was seen to ignore SIGTERM for ten minutes while a client stayed connected
_POLL_SECONDS = 0.02
_SEED = 0  # of requests that name none: the same question gets the same answer, also above temperature 0


class LlamaServerProcess:
    """A context manager around one running llama.cpp server.

    Args:
        model: the GGUF file to serve.
        binary: a built `llama-server` to run; None runs the one inside xllamacpp.
        slots: requests served at once; the others wait.
        context_length: tokens of context in all, shared out between the slots.
        api_key: the key that requests must carry; None asks for none.
        embeddings: serve embeddings.
        port: the port to bind; 0 takes a free one.
        start_timeout: seconds within which the server must be up.
        wait_until_loaded: False enters the context while `binary` still loads the model, when it refuses connections
            or answers 503. xllamacpp's server opens its port when the model is loaded, so there is always a wait.

    Raises:
        ModuleNotFoundError: neither `binary` is given nor xllamacpp installed.
    """

    def __init__(
        self,
        model: Path,
        *,
        binary: Path | None = None,
        slots: int = 2,
        context_length: int = 4096,
        api_key: str | None = None,
        embeddings: bool = False,
        port: int = 0,
        start_timeout: float = 30.0,
        wait_until_loaded: bool = True,
    ) -> None:
        if binary is None and importlib.util.find_spec("xllamacpp") is None:
            raise ModuleNotFoundError(
                "The test server needs xllamacpp, or the path of a built llama-server as `binary`: "
                "pip install 'jeeves-airframe[llamacpp]'",
                name="xllamacpp",
            )
        self._command = [sys.executable, "-P", "-m", "airframe.testing.llama_server", str(model)]
        self._command += [f"--port={port}", f"--slots={slots}", f"--context-length={context_length}"]
        if binary is not None:
            self._command.append(f"--binary={binary}")
        if embeddings:
            self._command.append("--embeddings")
        if not wait_until_loaded:
            self._command.append("--no-wait")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}
        if api_key is not None:
            self._environment[_KEY_VARIABLE] = api_key
        self._start_timeout = start_timeout
        self._child: subprocess.Popen[bytes] | None = None
        self._base_url = ""
        self._pid = 0

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return self._base_url

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return self._pid

    def __enter__(self) -> Self:
        """Start the server.

        Raises:
            RuntimeError: the server ended, or was not up within `start_timeout`; with the end of its log.
        """
        with tempfile.TemporaryFile() as log:
            # In a process group of its own Ctrl-C does not reach the server. And when we die while it is suspended,
            # the group is orphaned and the kernel hangs up on it.
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                process_group=0,
            )
            try:
                report = self._read_report(self._child)
            except BaseException:
                self.kill()
                raise
            if not report:
                self.kill()
                raise RuntimeError(
                    f"llama-server did not start within {self._start_timeout:g} s. Its log ends:\n{_tail(log)}"
                )
        facts: dict[str, Any] = json.loads(report)
        self._base_url, self._pid = str(facts["base_url"]), int(facts["pid"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the server with SIGTERM, and with SIGKILL when that does not help within a few seconds."""
        if self._child is not None and self._child.poll() is None:
            self.resume()
            os.kill(self._pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_STOP_SECONDS)
        self.kill()

    def suspend(self) -> None:
        """Freeze the server (SIGSTOP): connections are still accepted, nothing is answered."""
        os.kill(self._pid, signal.SIGSTOP)
        if self._child is not None and self._child.pid == self._pid:
            # Until it has stopped, the kernel would not hang up on it. A separate binary has a parent that ends it.
            os.waitid(os.P_PID, self._pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a suspended server go on (SIGCONT)."""
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a crash would."""
        if self._child is None:
            return
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        with self._child:  # closes the pipes and waits
            pass

    def _read_report(self, child: subprocess.Popen[bytes]) -> bytes:
        assert child.stdout is not None
        timer = threading.Timer(self._start_timeout, os.killpg, (child.pid, signal.SIGKILL))
        timer.start()
        try:
            return child.stdout.readline()
        finally:
            timer.cancel()


def _tail(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
    return log.read().decode(errors="replace").strip()


# What follows runs in the child.


def _serve_embedded(arguments: argparse.Namespace, report: IO[str]) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = arguments.model
    params.hostnames = [_HOST]
    params.port = arguments.port
    params.n_parallel = arguments.slots
    params.n_ctx = arguments.context_length
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.sampling.seed = _SEED
    params.use_jinja = True
    params.endpoint_slots = params.endpoint_metrics = params.endpoint_props = True
    params.embedding = arguments.embeddings
    if key := os.environ.get(_KEY_VARIABLE):
        params.api_keys = [key]
    server = xllamacpp.Server(params)
    _send(report, server.listening_address, os.getpid())
    _await_end_of_stdin()
    os._exit(0)  # the C++ threads need no farewell


def _serve_binary(arguments: argparse.Namespace, report: IO[str]) -> None:
    port: int = arguments.port or _free_port()
    command = [arguments.binary, "--model", arguments.model, "--host", _HOST, "--port", str(port)]
    command += ["--parallel", str(arguments.slots), "--ctx-size", str(arguments.context_length), "--threads", "1"]
    command += ["--seed", str(_SEED), "--no-warmup", "--jinja", "--slots", "--metrics", "--props"]
    if arguments.embeddings:
        command.append("--embeddings")
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)

    def end_with_parent() -> None:
        _await_end_of_stdin()
        server.kill()

    threading.Thread(target=end_with_parent, daemon=True).start()
    while not arguments.no_wait and server.poll() is None and not _is_loaded(port):
        time.sleep(_POLL_SECONDS)
    if server.poll() is None:
        _send(report, f"http://{_HOST}:{port}", server.pid)
    os._exit(server.wait() & 0xFF)  # the thread still reads


def _send(report: IO[str], base_url: str, pid: int) -> None:
    with report:
        report.write(json.dumps({"base_url": base_url, "pid": pid}) + "\n")


def _await_end_of_stdin() -> None:
    while os.read(0, 1024):
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_loaded(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _main() -> None:
    parser = argparse.ArgumentParser(description="Serve a GGUF file with llama.cpp on 127.0.0.1 until stdin ends.")
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--context-length", type=int, default=4096)
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--binary", help="a built llama-server")
    parser.add_argument("--no-wait", action="store_true", help="report before the model is loaded")
    arguments = parser.parse_args()
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever llama.cpp prints belongs to the log
    with contextlib.suppress(KeyboardInterrupt):
        (_serve_binary if arguments.binary else _serve_embedded)(arguments, report)


if __name__ == "__main__":
    _main()
