"""any-llm over OpenAI's SDK."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from bench.clients.client import KEY, MODEL, Client, Turn
from bench.clients.openai_sdk import Messages, read_chunks

__all__ = ["AnyLLMSDK"]


class AnyLLMSDK(Client[Messages]):
    def __init__(self, url: str, connections: int) -> None:
        any_llm: Any = import_module("any_llm")
        self._client: Any = any_llm.AnyLLM.create("openai", api_key=KEY, api_base=f"{url}/v1")

    def messages(self, turns: Sequence[Turn]) -> Messages:
        return [{"role": role, "content": text} for role, text in turns]

    async def stream(self, messages: Messages, heard: Callable[[], None]) -> int:
        return await read_chunks(await self._client.acompletion(MODEL, messages, stream=True), heard)

    async def answer(self, messages: Messages) -> int:
        return len((await self._client.acompletion(MODEL, messages)).choices[0].message.content)
