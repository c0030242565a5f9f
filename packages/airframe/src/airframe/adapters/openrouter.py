"""OpenRouter, one service in front of the models of many providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, Unpack
from urllib.parse import urlsplit

from airframe.adapters.http_adapter import HttpAdapter, HttpOptions
from airframe.adapters.provider_preferences import ProviderPreferences
from airframe.endpoints import BackendKind, EndpointSpec
from airframe.errors import ConfigurationError
from airframe.exchange import Exchange, Prepared
from airframe.protocols.openai_chat import OpenAIChatProtocol
from airframe.protocols.openai_responses import OpenAIResponsesProtocol
from airframe.protocols.openrouter_dialects import OPENROUTER, OPENROUTER_RESPONSES
from airframe.protocols.reading import JSONDict, whole_number_in
from airframe.types.request import InferenceRequest
from airframe.types.result import ModelInfo

__all__ = ["OpenRouterAdapter"]


class OpenRouterAdapter(HttpAdapter):
    """OpenRouter, by chat completions or by Responses. `base_url` is `https://openrouter.ai/api/v1`.

    Args:
        api_type: `chat` or `responses`.
        provider: which providers may answer; `extra_params={"provider": ...}` of a request goes before it.
        app_url: address of the program that asks, for OpenRouter's rankings.
        app_title: its name there.
    """

    kind = BackendKind.OPENROUTER

    def __init__(
        self,
        *,
        api_type: Literal["chat", "responses"] = "chat",
        provider: ProviderPreferences | None = None,
        app_url: str | None = None,
        app_title: str | None = None,
        **options: Unpack[HttpOptions],
    ) -> None:
        if api_type not in {"chat", "responses"}:
            raise ConfigurationError(f"api_type must be 'chat' or 'responses', got {api_type!r}")
        self._provider = provider
        self._attribution = {
            name: value for name, value in (("http-referer", app_url), ("x-openrouter-title", app_title)) if value
        }
        super().__init__(
            OpenAIChatProtocol(OPENROUTER) if api_type == "chat" else OpenAIResponsesProtocol(OPENROUTER_RESPONSES),
            **options,
        )

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        prefix = "" if urlsplit(endpoint.base_url).path else "/api/v1"
        return f"{endpoint.base_url}{prefix}{path}"

    def headers(self, endpoint: EndpointSpec) -> Mapping[str, str]:
        return {**self._attribution, **super().headers(endpoint)}

    def encode(self, endpoint: EndpointSpec, request: InferenceRequest, *, stream: bool) -> Prepared:
        if self._provider is not None:
            request = replace(request, extra_params={"provider": self._provider.wire(), **request.extra_params})
        return super().encode(endpoint, request, stream=stream)

    def model_info(self, raw: JSONDict) -> ModelInfo:
        """With the context window."""
        return replace(super().model_info(raw), context_window=whole_number_in(raw, "context_length"))

    async def probe(self, exchange: Exchange) -> str:
        """The list of models is open to everybody, so `/key` is asked, which also tells whether the key is good."""
        if exchange.endpoint.key is None:
            return await super().probe(exchange)
        await self.get(exchange, "/key")
        return "the key is good"
