"""Anthropic's SDK, in its own dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from bench.clients.client import KEY, Client, Turn

__all__ = ["AnthropicSDK"]

Messages = list[dict[str, str]]


class AnthropicSDK(Client[Messages]):
    def __init__(self, url: str, connections: int) -> None:
        anthropic: Any = import_module("anthropic")  # it allows 1,000 connections
        self._client: Any = anthropic.AsyncAnthropic(base_url=url, api_key=KEY)

    def messages(self, turns: Sequence[Turn]) -> Messages:
        return [{"role": role, "content": text} for role, text in turns]

    async def stream(self, messages: Messages, heard: Callable[[], None]) -> int:
        pieces: list[str] = []
        begun = False
        async with await self._create(messages, stream=True) as stream:
            async for event in stream:
                if not begun:
                    begun = True
                    heard()
                if event.type == "content_block_delta":
                    pieces.append(event.delta.text)
        return len("".join(pieces))

    async def answer(self, messages: Messages) -> int:
        return len((await self._create(messages, stream=False)).content[0].text)

    async def aclose(self) -> None:
        await self._client.close()

    async def _create(self, messages: Messages, *, stream: bool) -> Any:
        return await self._client.messages.create(
            model="claude-sonnet-4-5", max_tokens=4096, messages=messages, stream=stream
        )
