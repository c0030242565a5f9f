"""avionics' gateway over airframe: priced, and observed through OpenTelemetry's API without an SDK; no call log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from airframe import EndpointSpec, Message, OpenAIChatAdapter
from airframe.endpoints import BackendKind
from airframe.types.messages import Role
from avionics.llm import LLMGateway
from avionics.llm.providers.openai import OpenAIProvider
from avionics.settings import Settings
from avionics.telemetry import OpenTelemetryObserver
from bench.clients.client import KEY, MODEL, Client, Turn, since

__all__ = ["AvionicsGateway"]


class AvionicsGateway(Client[list[Message]]):
    def __init__(self, url: str, connections: int) -> None:
        endpoint = EndpointSpec(base_url=url, backend_kind=BackendKind.OPENAI, api_key=KEY, max_connections=connections)
        self._provider = OpenAIProvider(OpenAIChatAdapter(), endpoint, default_model=MODEL)
        self._gateway = LLMGateway(
            Settings(llm_provider="openai"),
            (),
            observers=[OpenTelemetryObserver()],
            providers={"openai": self._provider},
        )

    def messages(self, turns: Sequence[Turn]) -> list[Message]:
        return [Message(cast("Role", role), text) for role, text in turns]

    async def stream(self, messages: list[Message], heard: Callable[[], None]) -> int:
        async with self._gateway.complete_stream(messages=messages) as stream:
            await anext(stream)
            heard()
            async for _ in stream:
                pass
        response = stream.response
        return len(response.text) + sum(len(call.arguments) for call in response.tool_calls)

    async def delays(self, messages: list[Message]) -> Sequence[float]:
        async with self._gateway.complete_stream(messages=messages) as stream:
            return [since(chunk.text) async for chunk in stream if chunk.text]

    async def answer(self, messages: list[Message]) -> int:
        return len((await self._gateway.complete(messages=messages)).text)

    async def aclose(self) -> None:
        await self._gateway.aclose()
        await self._provider.close()
