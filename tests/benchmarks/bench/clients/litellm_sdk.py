"""litellm's `acompletion`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from bench.clients.client import KEY, MODEL, Client, Turn
from bench.clients.openai_sdk import Messages, read_chunks

__all__ = ["LiteLLM"]


class LiteLLM(Client[Messages]):
    def __init__(self, url: str, connections: int) -> None:
        self._litellm: Any = import_module("litellm")
        self._url = f"{url}/v1"

    def messages(self, turns: Sequence[Turn]) -> Messages:
        return [{"role": role, "content": text} for role, text in turns]

    async def stream(self, messages: Messages, heard: Callable[[], None]) -> int:
        return await read_chunks(await self._ask(messages, stream=True), heard)

    async def answer(self, messages: Messages) -> int:
        return len((await self._ask(messages, stream=False)).choices[0].message.content)

    async def _ask(self, messages: Messages, *, stream: bool) -> Any:
        return await self._litellm.acompletion(
            model=f"openai/{MODEL}", messages=messages, stream=stream, api_base=self._url, api_key=KEY
        )
