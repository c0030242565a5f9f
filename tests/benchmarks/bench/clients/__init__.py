"""The clients that are measured. Loading one loads its library; this list loads none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from bench.clients.client import Client

__all__ = ["CLIENTS", "FLOOR", "Client", "ClientEntry"]

FLOOR = "httpx bytes"
"""The client to which all others are compared."""


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """Where a client is, what it needs, and the imports of a program that uses it, the last of which makes it ready."""

    place: str
    needs: str
    imports: tuple[str, ...] = ()
    distribution: str = ""
    lacks: frozenset[str] = field(default=frozenset())
    """The kinds of answer that it cannot ask for."""

    @property
    def peer(self) -> bool:
        """Whether it is somebody else's SDK, in an environment of its own: then `distribution` says of which."""
        return bool(self.distribution)

    def load(self) -> type[Client[Any]]:
        """Import it."""
        module, _, name = self.place.partition(":")
        return cast("type[Client[Any]]", getattr(import_module(f"bench.clients.{module}"), name))

    @property
    def installed(self) -> bool:
        """Whether the library is there."""
        return all(find_spec(name) is not None for name in self.needs.split())


_AIRFRAME = "from airframe import EndpointSpec, InferenceRequest, Message, OpenAIChatAdapter"
_GATEWAY = "from avionics.llm import LLMGateway; from avionics.settings import Settings"
_MOCK = "LLMGateway(Settings(llm_provider='mock'), observers=[])"

CLIENTS: Mapping[str, ClientEntry] = {
    "raw socket": ClientEntry("raw_socket:RawSocket", "socket", lacks=frozenset({"held", "slow"})),
    FLOOR: ClientEntry("httpx_bytes:HttpxBytes", "httpx", ("import httpx, pydantic, anyio",)),
    "aiohttp bytes": ClientEntry("aiohttp_bytes:AiohttpBytes", "aiohttp", ("import aiohttp",)),
    "httpx-sse + json": ClientEntry("httpx_sse_json:HttpxSseJson", "httpx_sse", ("import httpx, httpx_sse, json",)),
    "airframe": ClientEntry("airframe_adapter:Airframe", "airframe", (_AIRFRAME, f"{_AIRFRAME}; OpenAIChatAdapter()")),
    "airframe on httpx": ClientEntry("airframe_adapter:AirframeOnHttpx", "airframe"),
    "airframe on aiohttp": ClientEntry("airframe_adapter:AirframeOnAiohttp", "airframe httpx_aiohttp"),
    "avionics": ClientEntry(
        "avionics_gateway:AvionicsGateway",
        "avionics",
        (
            _GATEWAY,
            f"import asyncio; {_GATEWAY}; asyncio.run({_MOCK}.complete('Hi'))",
            f"{_GATEWAY}; LLMGateway(Settings(), observers=[])",
        ),
    ),
    "openai": ClientEntry("openai_sdk:OpenAISDK", "openai", ("import openai",), distribution="openai"),
    "anthropic": ClientEntry(
        "anthropic_sdk:AnthropicSDK",
        "anthropic",
        ("import anthropic",),
        distribution="anthropic",
        lacks=frozenset({"tools", "unlike"}),
    ),
    "litellm": ClientEntry("litellm_sdk:LiteLLM", "litellm", ("import litellm",), distribution="litellm"),
    "pydantic-ai": ClientEntry(
        "pydantic_ai_sdk:PydanticAI",
        "pydantic_ai",
        ("import pydantic_ai.direct, pydantic_ai.models.openai, pydantic_ai.providers.openai",),
        distribution="pydantic-ai-slim",
    ),
    "any-llm": ClientEntry("any_llm_sdk:AnyLLMSDK", "any_llm", ("import any_llm",), distribution="any-llm-sdk"),
}
