"""What one writes by hand: httpx, httpx-sse, and `json.loads`."""

from __future__ import annotations

import json
from collections.abc import Callable

from httpx_sse import aconnect_sse

from bench.clients.httpx_bytes import HttpxBytes, Messages

__all__ = ["HttpxSseJson"]


class HttpxSseJson(HttpxBytes):
    async def stream(self, messages: Messages, heard: Callable[[], None]) -> int:
        pieces: list[str] = []
        async with aconnect_sse(self.client, "POST", self.url, json=self.body(messages, stream=True)) as source:
            async for event in source.aiter_sse():
                if not pieces:
                    heard()
                if event.data == "[DONE]":
                    break
                for choice in json.loads(event.data)["choices"]:
                    delta = choice["delta"]
                    pieces.extend(call["function"]["arguments"] for call in delta.get("tool_calls", ()))
                    pieces.append(delta.get("content") or "")
        return len("".join(pieces))

    async def answer(self, messages: Messages) -> int:
        response = await self.client.post(self.url, json=self.body(messages, stream=False))
        return len(json.loads(response.content)["choices"][0]["message"]["content"])
