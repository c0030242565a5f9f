"""airframe on its own connection, on httpx's, and on aiohttp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

from airframe import EndpointSpec, InferenceRequest, Message, OpenAIChatAdapter, StreamEventType
from airframe._http.connectors import Connector, httpx_connector
from airframe._http.http_transport import HttpTransport
from airframe.endpoints import BackendKind
from airframe.types.messages import Role
from bench.clients.client import KEY, MODEL, Client, Turn, since

__all__ = ["Airframe", "AirframeOnAiohttp", "AirframeOnHttpx"]


class Airframe(Client[list[Message]]):
    connector: Connector | None = None

    def __init__(self, url: str, connections: int) -> None:
        self._transport = HttpTransport(type(self).connector)
        self._adapter = OpenAIChatAdapter(transport=self._transport)
        self._endpoint = EndpointSpec(
            base_url=url, backend_kind=BackendKind.OPENAI, api_key=KEY, max_connections=connections
        )

    def messages(self, turns: Sequence[Turn]) -> list[Message]:
        return [Message(cast("Role", role), text) for role, text in turns]

    async def stream(self, messages: list[Message], heard: Callable[[], None]) -> int:
        request = InferenceRequest(messages=messages, model=MODEL)
        async with self._adapter.stream_infer(self._endpoint, request) as stream:
            await anext(stream)
            heard()
            async for _ in stream:
                pass
        result = stream.result
        return len(result.text) + sum(len(call.arguments) for call in result.tool_calls)

    async def delays(self, messages: list[Message]) -> Sequence[float]:
        request = InferenceRequest(messages=messages, model=MODEL)
        async with self._adapter.stream_infer(self._endpoint, request) as stream:
            return [since(event.text) async for event in stream if event.type is StreamEventType.TOKEN]

    async def answer(self, messages: list[Message]) -> int:
        result = await self._adapter.infer(self._endpoint, InferenceRequest(messages=messages, model=MODEL))
        return len(result.text)

    async def aclose(self) -> None:
        await self._adapter.aclose()
        await self._transport.aclose()


class AirframeOnHttpx(Airframe):
    connector = staticmethod(httpx_connector)


class AirframeOnAiohttp(Airframe):
    @staticmethod
    def connector(route: Any) -> Any:
        """A connection of aiohttp's, behind httpx's types."""
        httpx_aiohttp: Any = import_module("httpx_aiohttp")
        httpx: Any = import_module("httpx")
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30)
        return httpx_aiohttp.AiohttpTransport(verify=False, trust_env=False, limits=limits)
