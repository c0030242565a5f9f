"""OpenAI's SDK. Other SDKs are no dependencies of ours, so they are loaded by name."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Sequence
from importlib import import_module
from typing import Any

from bench.clients.client import KEY, MODEL, Client, Turn

__all__ = ["Messages", "OpenAISDK", "read_chunks"]

Messages = list[dict[str, str]]


class OpenAISDK(Client[Messages]):
    def __init__(self, url: str, connections: int) -> None:
        openai: Any = import_module("openai")  # it allows 1,000 connections
        self._client: Any = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY)

    def messages(self, turns: Sequence[Turn]) -> Messages:
        return [{"role": role, "content": text} for role, text in turns]

    async def stream(self, messages: Messages, heard: Callable[[], None]) -> int:
        async with await self._client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream:
            return await read_chunks(stream, heard)

    async def answer(self, messages: Messages) -> int:
        completion = await self._client.chat.completions.create(model=MODEL, messages=messages)
        return len(completion.choices[0].message.content)

    async def aclose(self) -> None:
        await self._client.close()


async def read_chunks(chunks: AsyncIterable[Any], heard: Callable[[], None]) -> int:
    """Read chunks that have the attributes of OpenAI's; gives how many characters there were."""
    pieces: list[str] = []
    begun = False
    async for chunk in chunks:
        if not begun:
            begun = True
            heard()
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            pieces.extend(call.function.arguments for call in choice.delta.tool_calls or ())
    return len("".join(pieces))
