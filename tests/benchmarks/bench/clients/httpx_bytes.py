"""httpx alone: the bytes of an answer, not looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx

from bench.clients.client import KEY, MODEL, Client, Turn

__all__ = ["HttpxBytes"]

Messages = list[dict[str, str]]


class HttpxBytes(Client[Messages]):
    def __init__(self, url: str, connections: int) -> None:
        self.url = f"{url}/v1/chat/completions"
        self.client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {KEY}"},
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=20),  # 20 is its default
            timeout=httpx.Timeout(600, connect=10),
        )

    def messages(self, turns: Sequence[Turn]) -> Messages:
        return [{"role": role, "content": text} for role, text in turns]

    def body(self, messages: Messages, *, stream: bool) -> dict[str, object]:
        """What is sent."""
        return {"model": MODEL, "messages": messages, "stream": stream}

    async def stream(self, messages: Messages, heard: Callable[[], None]) -> int:
        async with self.client.stream("POST", self.url, json=self.body(messages, stream=True)) as response:
            pieces = response.aiter_bytes()
            size = len(await anext(pieces))
            heard()
            async for piece in pieces:
                size += len(piece)
        return size

    async def answer(self, messages: Messages) -> int:
        response = await self.client.post(self.url, json=self.body(messages, stream=False))
        return len(response.content)

    async def aclose(self) -> None:
        await self.client.aclose()
