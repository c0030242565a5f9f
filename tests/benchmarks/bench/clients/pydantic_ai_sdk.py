"""pydantic-ai's direct requests: its model layer, without an agent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from bench.clients.client import KEY, MODEL, Client, Turn

__all__ = ["PydanticAI"]


class PydanticAI(Client[list[Any]]):
    def __init__(self, url: str, connections: int) -> None:
        self._direct: Any = import_module("pydantic_ai.direct")
        self._types: Any = import_module("pydantic_ai.messages")
        models: Any = import_module("pydantic_ai.models.openai")
        providers: Any = import_module("pydantic_ai.providers.openai")
        self._model: Any = models.OpenAIChatModel(
            MODEL, provider=providers.OpenAIProvider(base_url=f"{url}/v1", api_key=KEY)
        )

    def messages(self, turns: Sequence[Turn]) -> list[Any]:
        types = self._types
        return [
            types.ModelRequest.user_text_prompt(text)
            if role == "user"
            else types.ModelResponse(parts=[types.TextPart(text)])
            for role, text in turns
        ]

    async def stream(self, messages: list[Any], heard: Callable[[], None]) -> int:
        begun = False
        async with self._direct.model_request_stream(self._model, messages) as stream:
            async for _ in stream:
                if not begun:
                    begun = True
                    heard()
        return _size(stream.get())

    async def answer(self, messages: list[Any]) -> int:
        return _size(await self._direct.model_request(self._model, messages))


def _size(response: Any) -> int:
    return sum(len(part.content if part.part_kind == "text" else part.args_as_json_str()) for part in response.parts)
