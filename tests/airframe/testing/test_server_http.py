"""The fake server as programs in any language meet it: its HTTP, and its command line."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airframe import InferenceRequest, Usage
from airframe.testing import Answer
from airframe.testing.mutators import stall_after
from airframe.testing.server import FakeServer

COMMAND = [sys.executable, "-m", "airframe.testing.server"]
ASK = json.dumps({"model": "small", "messages": [{"role": "user", "content": "Hi"}]})


def ask(url: str, path: str = "/v1/chat/completions", body: str = ASK) -> tuple[int, dict[str, object]]:
    """Asks with the standard library alone."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("POST", path, body, {"content-type": "application/json"})
    response = connection.getresponse()
    answer: dict[str, object] = json.loads(response.read())
    connection.close()
    return response.status, answer


def talk(server: FakeServer, request: bytes) -> bytes:
    """Sends bytes, and reads until the server hangs up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_body_in_chunks_is_read() -> None:
    """Clients may send their question in chunks, with extensions and trailers."""
    chunks = b"%x;name=value\r\n%b\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(ASK), ASK.encode())
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    with FakeServer(["Rain."]) as server:
        assert b'"content":"Rain."' in talk(server, head + chunks)
    assert server.received[0].body == ASK.encode()


def test_whoever_waits_for_leave_to_send_gets_it() -> None:
    """`Expect: 100-continue` is answered before the body is read."""
    with FakeServer(["Rain."]) as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {len(ASK)}\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(1024).startswith(b"HTTP/1.1 100")
        client.sendall(ASK.encode())
        assert client.recv(1024).startswith(b"HTTP/1.1 200")


def test_old_clients_get_no_chunks() -> None:
    """A stream over HTTP/1.0 ends with the connection."""
    body = json.dumps({**json.loads(ASK), "stream": True}).encode()
    request = b"POST /v1/chat/completions HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    with FakeServer([Answer(chunks=["Rain", "."])]) as server:
        answer = talk(server, request)
    head, _, stream = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert stream.startswith(b"data: {")
    assert stream.endswith(b"data: [DONE]\n\n")


def test_a_connection_serves_one_question_after_the_other() -> None:
    """Streams and whole answers end where HTTP says, and the connection stays."""
    streamed = json.dumps({**json.loads(ASK), "stream": True})
    with FakeServer(["Rain.", "Sun.", "Snow."]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for body, word in ((streamed, b"Rain."), (ASK, b"Sun."), (streamed, b"Snow.")):
            connection.request("POST", "/v1/chat/completions", body)
            assert word in connection.getresponse().read()
        connection.close()
    assert {received.connection for received in server.received} == {0}


def test_usage_comes_when_it_is_wanted() -> None:
    """OpenAI's streams say what they cost only to those who ask."""
    answer = Answer(text="Rain.", usage=Usage(input_tokens=1, output_tokens=2))
    body = json.dumps({**json.loads(ASK), "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
    with FakeServer([answer]) as server:
        assert b"usage" not in talk(server, head % (len(body), body))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "no valid JSON"),
        ('{"messages": []}', "messages must not be empty"),
        ('{"messages": [{"role": "friend"}]}', "got 'friend'"),
        ('{"messages": "Hi"}', "not as an array"),
    ],
)
def test_a_malformed_question_takes_no_step(body: str, words: str) -> None:
    """What cannot be read is refused with the reason, and the script stays where it was."""
    with FakeServer(["Rain."]) as server:
        status, answer = ask(server.base_url, body=body)
        assert status == 400
        assert words in str(answer["error"])
        assert ask(server.base_url)[0] == 200


def test_an_unknown_path_is_not_found() -> None:
    """The error names method and path."""
    with FakeServer() as server:
        status, answer = ask(server.base_url, "/v1/nothing")
    assert status == 404
    assert "POST /v1/nothing" in str(answer["error"])


def test_it_listens_on_this_machine_only() -> None:
    """The address is loopback, and a port that was asked for is the one."""
    with FakeServer() as first:
        assert first.base_url == f"http://127.0.0.1:{first.port}"
        with pytest.raises(OSError, match="in use"), FakeServer(port=first.port):
            pass
    with FakeServer(port=first.port) as second:
        assert second.port == first.port


def test_leaving_ends_what_waits() -> None:
    """Neither a long delay nor a silent stream nor an idle connection holds the server back."""
    streamed = json.dumps({**json.loads(ASK), "stream": True}).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b"
    asked = threading.Semaphore(0)

    def late(_: InferenceRequest) -> Answer:
        asked.release()
        return Answer(text="Rain.", delay=3600)

    def silent(_: InferenceRequest) -> Answer:
        asked.release()
        return Answer(text="Rain.", faults=stall_after(events=1))

    idle = socket.socket()
    clients = [socket.socket(), socket.socket()]
    with FakeServer([late, silent]) as server:
        for client, body in zip(clients, (ASK.encode(), streamed), strict=True):
            client.connect(("127.0.0.1", server.port))
            client.sendall(request % (len(body), body))
            assert asked.acquire(timeout=60)
        idle.connect(("127.0.0.1", server.port))
        clients[1].recv(65536)
    for client in (*clients, idle):
        client.settimeout(60)
        # A connection that the server had not accepted yet is reset, not closed.
        with client, suppress(ConnectionResetError):
            while client.recv(65536):
                pass
    assert not [thread for thread in threading.enumerate() if "fake-server" in thread.name]


# -- the command line


SCRIPT = """
models: [tiny]
steps:
  - It is raining.
  - fail: overloaded
"""


@contextmanager
def running(*arguments: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_command_serves_until_stdin_ends(tmp_path: Path) -> None:
    """It prints its URL, answers from the file, and ends well with its standard input."""
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    with running("--script", str(script), "--dialect", "openai") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert ask(url)[0] == 200
        assert ask(url)[0] == 503
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "", "")


def test_the_command_tells_of_a_call_too_many(tmp_path: Path) -> None:
    """What went wrong is told at the end, also after Ctrl-C, and shows in the status."""
    script = tmp_path / "script.json"
    script.write_text('{"steps": []}')
    with running("--script", str(script)) as process:
        assert process.stdout is not None
        assert ask(process.stdout.readline().strip())[0] == 400
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 1
    assert err == "script.json has no step for call 1; give it one more, or let it repeat\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SCRIPT.replace("overloaded", "tired"), "script.yaml, line 5: steps[1].fail: must be one of auth"),
        (None, "script.yaml: the file cannot be read: No such file or directory"),
    ],
)
def test_the_command_refuses_a_malformed_script(tmp_path: Path, content: str | None, words: str) -> None:
    """The message names file, line and field, and there is no traceback."""
    script = tmp_path / "script.yaml"
    if content:
        script.write_text(content)
    done = subprocess.run([*COMMAND, "--script", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_command_names_a_port_that_is_taken(tmp_path: Path) -> None:
    """The error says so, and there is no traceback."""
    script = tmp_path / "script.json"
    script.write_text('{"steps": []}')
    with FakeServer() as server:
        command = [*COMMAND, "--script", str(script), "--port", str(server.port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr
