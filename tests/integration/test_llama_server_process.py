"""The test server itself: a real llama.cpp, which can be suspended and killed and never outlives the test."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.tiny_model import REPLY

SECONDS = 10.0


def ask(server: LlamaServerProcess, path: str, body: object = None, *, timeout: float = SECONDS) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_it_says_its_one_sentence(llama_server: LlamaServerProcess) -> None:
    """At temperature 0 the scripted model answers a chat with its reply and stops."""
    chat = {
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    status, answer = ask(llama_server, "/v1/chat/completions", chat)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, REPLY)
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_the_looping_model_ends_only_by_the_limit(loop_llama_server: LlamaServerProcess) -> None:
    """The looping model talks on past its reply until `n_predict` ends it."""
    request = {"prompt": "<|im_start|>assistant\n", "n_predict": 60, "temperature": 0}
    status, answer = ask(loop_llama_server, "/completion", request)
    assert (status, answer["tokens_predicted"], answer["stop_type"]) == (200, 60, "limit")
    assert answer["content"].count("Hello") >= 2


def test_slots_share_the_context(llama_server: LlamaServerProcess) -> None:
    """The shared server has 2 slots of 2048 tokens each."""
    status, slots = ask(llama_server, "/slots")
    assert (status, [slot["n_ctx"] for slot in slots]) == (200, [2048, 2048])


def test_a_key_is_asked_for(tiny_model: Path, llama_binary: Path | None) -> None:
    """With `api_key` a request without the key is refused."""
    with LlamaServerProcess(tiny_model, binary=llama_binary, api_key="made-up") as server:
        status, _ = ask(server, "/v1/models")
        assert status == 401


def test_suspended_it_accepts_and_is_silent(tiny_model: Path, llama_binary: Path | None) -> None:
    """A suspended server lets a client connect and answers nothing until it is resumed."""
    with LlamaServerProcess(tiny_model, binary=llama_binary) as server:
        server.suspend()
        with pytest.raises(TimeoutError):
            ask(server, "/health", timeout=0.2)
        server.resume()
        assert ask(server, "/health") == (200, {"status": "ok"})


def test_killed_it_refuses_connections(tiny_model: Path, llama_binary: Path | None) -> None:
    """After `kill` nobody listens, and leaving the context is quiet."""
    with LlamaServerProcess(tiny_model, binary=llama_binary) as server:
        server.kill()
        with pytest.raises(ConnectionRefusedError):
            ask(server, "/health")


def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path, llama_binary: Path | None) -> None:
    """The error holds the end of the server's own log, which names the file it could not load."""
    missing = tmp_path / "missing.gguf"
    with pytest.raises(RuntimeError, match=r"missing\.gguf"), LlamaServerProcess(missing, binary=llama_binary):
        pytest.fail("started")


@pytest.mark.parametrize("suspended", [False, True])
def test_it_dies_with_its_parent(tiny_model: Path, llama_binary: Path | None, suspended: bool) -> None:
    """When the process that started the server is killed outright, the server ends too, even while suspended."""
    script = f"""
import sys
from pathlib import Path
from airframe.testing.llama_server import LlamaServerProcess
server = LlamaServerProcess(Path({str(tiny_model)!r}), binary={str(llama_binary) if llama_binary else None!r})
server.__enter__()
print(server.base_url.rpartition(":")[2], flush=True)
sys.stdin.readline()
{"server.suspend()" if suspended else ""}
print("ready", flush=True)
sys.stdin.readline()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin
        assert parent.stdout
        port = int(parent.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            parent.stdin.write(b"suspend\n")
            parent.stdin.flush()
            assert parent.stdout.readline() == b"ready\n"
            parent.kill()
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""  # the kernel closes what a dead process held
