"""OpenAI's models on Azure, and what else Azure AI Foundry serves in OpenAI's formats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from inspect import isawaitable
from typing import Literal, TypeAlias, Unpack
from urllib.parse import quote, urlencode, urlsplit

from airframe.adapters.http_adapter import HttpAdapter, HttpOptions
from airframe.endpoints import BackendKind, EndpointSpec
from airframe.errors import CallTimeoutError, ConfigurationError, ErrorCategory, Phase
from airframe.exchange import Exchange, Prepared
from airframe.protocols.azure_dialects import AZURE, AZURE_RESPONSES
from airframe.protocols.openai_chat import OpenAIChatProtocol
from airframe.protocols.openai_responses import OpenAIResponsesProtocol
from airframe.types.request import InferenceRequest

__all__ = ["AzureOpenAIAdapter", "TokenProvider"]

TokenProvider: TypeAlias = Callable[[], str | Awaitable[str]]
"""Gives a fresh token of Entra ID, as `azure.identity.get_bearer_token_provider` does."""


class AzureOpenAIAdapter(HttpAdapter):
    """Azure OpenAI, by chat completions or by Responses.

    `base_url` is the resource, such as `https://RESOURCE.openai.azure.com`. The model is the name of the deployment.

    Args:
        api_type: `chat` or `responses`.
        api_version: a dated version such as `2024-10-21`, for the older URLs with deployment and `api-version`; without
            one, the paths below `/openai/v1` are used, which have no version.
        token_provider: gives the token of Entra ID, in place of `api_key`. It is asked for each attempt, and what it
            gives is shown to the backend and kept nowhere.

    A `base_url` with a path is taken as it is, and the format's path put behind it.
    """

    kind = BackendKind.AZURE

    def __init__(
        self,
        *,
        api_type: Literal["chat", "responses"] = "chat",
        api_version: str | None = None,
        token_provider: TokenProvider | None = None,
        **options: Unpack[HttpOptions],
    ) -> None:
        if api_type not in {"chat", "responses"}:
            raise ConfigurationError(f"api_type must be 'chat' or 'responses', got {api_type!r}")
        self._api_version = api_version
        self._token_provider = token_provider
        super().__init__(
            OpenAIChatProtocol(AZURE) if api_type == "chat" else OpenAIResponsesProtocol(AZURE_RESPONSES), **options
        )

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        own = "" if urlsplit(endpoint.base_url).path else "/openai" if self._api_version else "/openai/v1"
        query = f"?{urlencode({'api-version': self._api_version})}" if self._api_version else ""
        return f"{endpoint.base_url}{own}{path}{query}"

    def headers(self, endpoint: EndpointSpec) -> Mapping[str, str]:
        if self._token_provider:
            return super().headers(endpoint)
        return {"api-key": endpoint.key} if endpoint.key else {}

    async def prepare(self, exchange: Exchange, request: InferenceRequest, *, stream: bool) -> Prepared:
        await self._sign_in(exchange)
        return await super().prepare(exchange, request, stream=stream)

    def encode(self, endpoint: EndpointSpec, request: InferenceRequest, *, stream: bool) -> Prepared:
        prepared = super().encode(endpoint, request, stream=stream)
        if not self._names_deployment(endpoint):
            return prepared
        deployment = request.model or endpoint.model
        if not deployment:
            raise ConfigurationError("the model is missing; give the deployment's name as EndpointSpec.model")
        path = f"/deployments/{quote(deployment, safe='')}/chat/completions"
        return replace(prepared, http=replace(prepared.http, url=self.url(endpoint, path)))

    async def get(self, exchange: Exchange, path: str) -> bytes:
        await self._sign_in(exchange)
        return await super().get(exchange, path)

    def _names_deployment(self, endpoint: EndpointSpec) -> bool:
        """Whether the deployment stands in the URL: only in dated versions, and there not for Responses."""
        is_chat = isinstance(self.protocol, OpenAIChatProtocol)
        return is_chat and self._api_version is not None and not urlsplit(endpoint.base_url).path

    async def _sign_in(self, exchange: Exchange) -> None:
        """Have a token for this attempt. It is a secret of the attempt's endpoint alone, and goes with it."""
        provider = self._token_provider
        if provider is None:
            return

        async def ask() -> str:
            token = provider()
            return await token if isawaitable(token) else token

        try:
            token = await exchange.within_deadline(ask, Phase.BEFORE_SEND)
            exchange.endpoint = replace(exchange.endpoint, api_key=token)
        except CallTimeoutError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"token_provider gave no usable token: {type(error).__name__}",
                category=ErrorCategory.AUTH,
                phase=Phase.BEFORE_SEND,
            ) from error
