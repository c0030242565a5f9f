"""The server of the benchmarks: it answers with bytes that were built before, so that clients never wait for it.

It runs in a process of its own (`python -m bench.upstream`), prints its port, and ends when its input is closed. What
to answer stands in the question: `bench burst 2000` is a stream of 2,000 events, all there at once. `GET /cpu` tells
the CPU seconds that the server itself has used.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import cycle, islice
from typing import cast

__all__ = ["main"]

PIECE_BYTES = 16 * 1024
PACE_SECONDS = 0.001
SLOW_SECONDS = 0.5
HOLD_SECONDS = 0.05
# Not one word again and again: litellm takes that for a model that is stuck.
STAMP = "0" * 20
"""In events that are sent one by one: replaced by the nanoseconds of the monotonic clock, which all processes share."""

WORDS = ["The ", "sky ", "is ", "blue", ", ", "for ", "light ", "scatters", ". "]

_QUESTION = re.compile(rb"bench (\w+) (\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


# -- two dialects

JSON = dict[str, object]
CHAT = "/chat/completions"
MESSAGES = "/messages"


def chat_events(kind: str, size: int) -> Iterable[bytes]:
    """Chunks of OpenAI's chat completions."""
    tools = kind == "tools"

    def chunk(choices: list[JSON], **more: object) -> bytes:
        return _event(
            {
                "id": "chatcmpl-C4m9Vp2nYtqKQdxyS8uP6wQ1vJ7eF",
                "object": "chat.completion.chunk",
                "created": 1790000000,
                "model": "gpt-4.1-mini-2025-04-14",
                "service_tier": "default",
                "system_fingerprint": "fp_4fce0778af",
                "choices": choices,
                **more,
            }
        )

    def choice(delta: JSON, reason: str | None = None) -> list[JSON]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]

    if tools:
        function: JSON = {"name": "write", "arguments": ""}
        call: JSON = {"index": 0, "id": "call_Gk1b7X", "type": "function", "function": function}
        yield chunk(choice({"role": "assistant", "content": None, "tool_calls": [call]}))
        yield from [chunk(choice({"tool_calls": [{"index": 0, "function": {"arguments": '"w",'}}]}))] * size
    elif kind == "unlike":
        # OpenAI puts random letters into each chunk, against guessing at the text by its length.
        yield from (chunk(choice({"content": word}), obfuscation=f"{n:09}") for n, word in enumerate(words(size)))
    else:
        yield from (chunk(choice({"content": word})) for word in words(size, kind))
    yield chunk(choice({}, "tool_calls" if tools else "stop"))
    yield chunk([], usage={"prompt_tokens": 10, "completion_tokens": size, "total_tokens": size + 10})
    yield b"data: [DONE]\n\n"


def words(size: int, kind: str = "burst") -> Iterable[str]:
    """What the model says."""
    return islice(cycle([STAMP] if kind in {"paced", "slow"} else WORDS), size)


def chat_answer(size: int) -> JSON:
    """A whole chat completion of `size` characters."""
    message: JSON = {"role": "assistant", "content": "x" * size, "refusal": None, "annotations": []}
    return {
        "id": "chatcmpl-C4m9Vp2nYtqKQdxyS8uP6wQ1vJ7eF",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-4.1-mini-2025-04-14",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 400, "total_tokens": 410},
        "service_tier": "default",
        "system_fingerprint": "fp_4fce0778af",
    }


def message_events(kind: str, size: int) -> Iterable[bytes]:
    """Events of Anthropic's messages."""
    started: JSON = {**message_answer(0), "content": [], "stop_reason": None}
    yield _event({"type": "message_start", "message": started}, name="message_start")
    block = {"type": "text", "text": ""}
    yield _event({"type": "content_block_start", "index": 0, "content_block": block}, name="content_block_start")
    for word in words(size, kind):
        delta = {"type": "text_delta", "text": word}
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta}, name="content_block_delta")
    yield _event({"type": "content_block_stop", "index": 0}, name="content_block_stop")
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": end, "usage": {"output_tokens": size}}, name="message_delta")
    yield _event({"type": "message_stop"}, name="message_stop")


def message_answer(size: int) -> JSON:
    """A whole message of `size` characters."""
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "x" * size}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 400},
    }


def _event(data: JSON, name: str = "") -> bytes:
    line = b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"
    return b"event: " + name.encode() + b"\n" + line if name else line


# -- answers, built once


@cache
def events(path: str, kind: str, size: int) -> Sequence[bytes]:
    """A stream, event by event."""
    return list(message_events(kind, size) if path.endswith(MESSAGES) else chat_events(kind, size))


@cache
def burst(path: str, kind: str, size: int) -> bytes:
    """A stream as one piece of HTTP: a chunk for each event, or 16 kB chunks that cut events anywhere."""
    pieces = events(path, kind, size)
    if kind == "pieces":
        whole = b"".join(pieces)
        pieces = [whole[start : start + PIECE_BYTES] for start in range(0, len(whole), PIECE_BYTES)]
    return _HEAD_OF_STREAM + b"".join(map(chunked, pieces)) + _LAST_CHUNK


@cache
def answer(path: str, size: int) -> bytes:
    """A whole answer."""
    return _sized(message_answer(size) if path.endswith(MESSAGES) else chat_answer(size))


def chunked(piece: bytes) -> bytes:
    """One chunk of HTTP's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _sized(document: JSON) -> bytes:
    body = json.dumps(document, separators=(",", ":")).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


_HEAD_OF_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-request-id: req_1f4c\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


# -- the server


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._received, 0, head)
        end = head + 4 + (int(length[1]) if length else 0)
        if len(self._received) >= end:
            path = bytes(self._received[:head]).split(b" ", 2)[1].decode()
            question = _QUESTION.search(bytes(self._received), head, end)
            self._received.clear()  # nobody here asks twice without waiting
            if question is None:
                self._write(_sized({"cpu": time.process_time()}))
            else:
                self._answer(path, question[1].decode(), int(question[2]))

    def _answer(self, path: str, kind: str, size: int) -> None:
        match kind:
            case "whole":
                self._write(answer(path, size))
            case "held":
                self._later(HOLD_SECONDS, lambda: self._write(answer(path, size)))
            case "paced" | "slow":
                rest = iter(events(path, kind, size))
                # What clients and servers send together: the head, and no event yet.
                self._write(_HEAD_OF_STREAM)
                self._later(PACE_SECONDS, lambda: self._tick(rest, PACE_SECONDS if kind == "paced" else SLOW_SECONDS))
            case _:
                self._write(burst(path, kind, size))

    def _tick(self, rest: Iterable[bytes], pause: float) -> None:
        for event in islice(rest, 1):
            self._write(chunked(event.replace(STAMP.encode(), b"%020d" % time.monotonic_ns())))
            self._later(pause, lambda: self._tick(rest, pause))
            return
        self._write(_LAST_CHUNK)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, action)


async def main() -> None:
    """Serve until the input is closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
