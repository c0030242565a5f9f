"""A socket and nothing else: what receiving the bytes costs, and how fast the upstream can be."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from bench.clients.client import KEY, MODEL, Client, Turn

__all__ = ["RawSocket"]

_LENGTH = re.compile(rb"content-length: *(\d+)")


class RawSocket(Client[dict[bool, bytes]]):
    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80))
        self._buffer = memoryview(bytearray(256 * 1024))

    def messages(self, turns: Sequence[Turn]) -> dict[bool, bytes]:
        return {stream: self._request(turns, stream=stream) for stream in (True, False)}

    async def stream(self, messages: dict[bool, bytes], heard: Callable[[], None]) -> int:
        self._socket.sendall(messages[True])
        size, ending = self._receive()
        heard()
        while not ending.endswith(b"0\r\n\r\n"):
            more, ending = self._receive()
            size += more
        return size

    async def answer(self, messages: dict[bool, bytes]) -> int:
        self._socket.sendall(messages[False])
        size, _ = self._receive()
        head = bytes(self._buffer[: min(size, 1024)])
        length = _LENGTH.search(head)
        assert length is not None
        left = head.index(b"\r\n\r\n") + 4 + int(length[1]) - size
        while left > 0:
            more, _ = self._receive()
            left -= more
            size += more
        return size

    async def aclose(self) -> None:
        self._socket.close()

    def _receive(self) -> tuple[int, bytes]:
        """How much came, and how it ends."""
        size = self._socket.recv_into(self._buffer)
        if not size:
            raise ConnectionResetError("the upstream went away")
        return size, bytes(self._buffer[max(0, size - 5) : size])

    def _request(self, turns: Sequence[Turn], *, stream: bool) -> bytes:
        messages = [{"role": role, "content": text} for role, text in turns]
        body = json.dumps({"model": MODEL, "messages": messages, "stream": stream}).encode()
        return (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body
