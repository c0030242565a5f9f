"""aiohttp alone: the bytes of an answer, not looked at. It is no dependency of ours, so it is loaded by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from bench.clients.client import KEY, MODEL, Client, Turn

__all__ = ["AiohttpBytes"]

Messages = list[dict[str, str]]


class AiohttpBytes(Client[Messages]):
    def __init__(self, url: str, connections: int) -> None:
        aiohttp: Any = import_module("aiohttp")
        self._url = f"{url}/v1/chat/completions"
        self._session: Any = aiohttp.ClientSession(
            headers={"authorization": f"Bearer {KEY}"}, connector=aiohttp.TCPConnector(limit=connections)
        )

    def messages(self, turns: Sequence[Turn]) -> Messages:
        return [{"role": role, "content": text} for role, text in turns]

    async def stream(self, messages: Messages, heard: Callable[[], None]) -> int:
        size = 0
        async with self._ask(messages, stream=True) as response:
            async for piece in response.content.iter_any():
                if not size:
                    heard()
                size += len(piece)
        return size

    async def answer(self, messages: Messages) -> int:
        async with self._ask(messages, stream=False) as response:
            return len(await response.read())

    async def aclose(self) -> None:
        await self._session.close()

    def _ask(self, messages: Messages, *, stream: bool) -> Any:
        return self._session.post(self._url, json={"model": MODEL, "messages": messages, "stream": stream})
