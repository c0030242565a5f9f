"""Anthropic's API, and other servers that speak its Messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Unpack
from urllib.parse import urlencode

from airframe.adapters.http_adapter import HttpAdapter, HttpOptions
from airframe.endpoints import BackendKind, EndpointSpec
from airframe.errors import ConfigurationError, MalformedAnswerError, Phase
from airframe.exchange import Exchange
from airframe.protocols.anthropic_messages import AnthropicMessagesProtocol
from airframe.protocols.anthropic_messages_request import DEFAULT_MAX_TOKENS, AnthropicVersion
from airframe.protocols.reading import JSONDict, objects_in, parse_object, text_in, whole_number_in
from airframe.types.request import InferenceRequest
from airframe.types.result import ModelInfo

__all__ = ["AnthropicAdapter"]

MODELS_PER_PAGE = 1000  # the most that the API gives at once


class AnthropicAdapter(HttpAdapter):
    """Messages, as Anthropic, Claude on Azure, OpenRouter, llama-server, LM Studio and others speak it.

    `base_url` is `https://api.anthropic.com`, `https://NAME.services.ai.azure.com/anthropic`,
    `https://openrouter.ai/api`, or a local server's root; a `/v1` at its end is left out.

    Args:
        version: the header `anthropic-version`. Under `2026-10-21` the API refuses `temperature`, `top_p` and `top_k`,
            so these are not sent; `2023-06-01` sends them, for older models and for other servers.
        auth: how the key is shown: `x-api-key`, or `bearer` for OpenRouter and for OAuth tokens.
        beta: names of beta features, sent as `anthropic-beta`.
        default_max_tokens: what to ask for when a request sets no `max_tokens`; the wire requires a number.
    """

    kind = BackendKind.ANTHROPIC

    def __init__(
        self,
        *,
        version: AnthropicVersion = "2026-10-21",
        auth: Literal["x-api-key", "bearer"] = "x-api-key",
        beta: Sequence[str] = (),
        default_max_tokens: int = DEFAULT_MAX_TOKENS,
        **options: Unpack[HttpOptions],
    ) -> None:
        if version not in {"2026-10-21", "2023-06-01"}:
            raise ConfigurationError(f"version must be '2026-10-21' or '2023-06-01', got {version!r}")
        if auth not in {"x-api-key", "bearer"}:
            raise ConfigurationError(f"auth must be 'x-api-key' or 'bearer', got {auth!r}")
        if isinstance(beta, str):
            raise ConfigurationError("beta must be a sequence of names, got str; wrap it in a list")
        if isinstance(default_max_tokens, bool) or default_max_tokens < 1:
            raise ConfigurationError(f"default_max_tokens must be a positive integer, got {default_max_tokens!r}")
        self._version: AnthropicVersion = version
        self._auth = auth
        self._beta = ",".join(beta)
        self._messages = AnthropicMessagesProtocol(version=version, default_max_tokens=default_max_tokens)
        super().__init__(self._messages, **options)

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        return f"{endpoint.base_url.removesuffix('/v1')}/v1{path}"

    def headers(self, endpoint: EndpointSpec) -> Mapping[str, str]:
        headers = {"anthropic-version": str(self._version)}
        if self._beta:
            headers["anthropic-beta"] = self._beta
        if endpoint.key and self._auth == "bearer":
            headers |= super().headers(endpoint)
        elif endpoint.key:
            headers["x-api-key"] = endpoint.key
        return headers

    async def count_tokens(self, endpoint: EndpointSpec, request: InferenceRequest) -> int:
        """How many tokens of input `request` would be, by the backend's own count. Raises `AirframeError`."""

        async def attempt(exchange: Exchange) -> int:
            wire = self._messages.encode_count(request, model=request.model or endpoint.model)
            http = self.post(endpoint, wire.path, wire.body, extra_headers=request.extra_headers)
            return self._messages.decode_count(await exchange.ask(http, self._messages))

        return await self._call(endpoint).run(attempt)

    async def list_models(self, endpoint: EndpointSpec) -> Sequence[ModelInfo]:
        async def attempt(exchange: Exchange) -> Sequence[ModelInfo]:
            models: list[ModelInfo] = []
            query = {"limit": str(MODELS_PER_PAGE)}
            while True:
                page = parse_object(await self.get(exchange, f"{self.models_path}?{urlencode(query)}"))
                models += [self.model_info(row) for row in objects_in(page, "data")]
                if not page.get("has_more"):
                    return models
                after = text_in(page, "last_id")
                if not after or after == query.get("after_id"):
                    raise MalformedAnswerError(
                        "the list of models goes on, but does not say after which", phase=Phase.CONTENT
                    )
                query["after_id"] = after

        return await self._call(endpoint).run(attempt)

    def model_info(self, raw: JSONDict) -> ModelInfo:
        """With the context window, as Anthropic tells it."""
        return replace(super().model_info(raw), context_window=whole_number_in(raw, "max_input_tokens"))
