"""OpenAI's Responses, and services that are compatible with them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Unpack
from urllib.parse import quote, urlsplit

from airframe.adapters.http_adapter import HttpAdapter, HttpOptions
from airframe.endpoints import BackendKind, EndpointSpec
from airframe.exchange import Exchange
from airframe.protocols.openai_responses import OpenAIResponsesProtocol
from airframe.protocols.protocol import DecodeOptions
from airframe.protocols.responses_dialect import OPENAI_RESPONSES, ResponsesDialect
from airframe.types.background import BackgroundResponse
from airframe.types.request import InferenceRequest

__all__ = ["OpenAIResponsesAdapter"]


class OpenAIResponsesAdapter(HttpAdapter):
    """OpenAI by its Responses. `base_url` is `https://api.openai.com/v1`; a URL without a path gets the `/v1`.

    For another service with `/v1/responses`, pass its `ResponsesDialect`. Reasoning and the items of hosted tools go
    back unchanged to the dialect that they came from.
    """

    kind = BackendKind.OPENAI_RESPONSES
    default_dialect: ClassVar[ResponsesDialect] = OPENAI_RESPONSES

    def __init__(self, *, dialect: ResponsesDialect | None = None, **options: Unpack[HttpOptions]) -> None:
        self._responses = OpenAIResponsesProtocol(dialect or self.default_dialect)
        super().__init__(self._responses, **options)

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        prefix = "" if urlsplit(endpoint.base_url).path else "/v1"
        return f"{endpoint.base_url}{prefix}{path}"

    async def create_background(self, endpoint: EndpointSpec, request: InferenceRequest) -> BackgroundResponse:
        """Have a request answered in the background. Raises `AirframeError`.

        The service has to keep the answer for that, so it refuses `store=False`.
        """
        in_background = replace(request, extra_params={"background": True, **request.extra_params})

        async def attempt(exchange: Exchange) -> BackgroundResponse:
            prepared = await self.prepare(exchange, in_background, stream=False)
            return self._background(exchange, await exchange.ask(prepared.http, self.protocol))

        return await self._call(endpoint).run(attempt)

    async def poll(self, endpoint: EndpointSpec, id: str) -> BackgroundResponse:
        """How far the response `id` is. Raises `AirframeError`, with category `not_found` for one that is not kept."""

        async def attempt(exchange: Exchange) -> BackgroundResponse:
            return self._background(exchange, await self.get(exchange, f"/responses/{quote(id, safe='')}"))

        return await self._call(endpoint).run(attempt)

    async def cancel(self, endpoint: EndpointSpec, id: str) -> BackgroundResponse:
        """Stop the response `id`; what was said until then is in its result. Raises `AirframeError`."""

        async def attempt(exchange: Exchange) -> BackgroundResponse:
            http = self.post(exchange.endpoint, f"/responses/{quote(id, safe='')}/cancel", b"")
            return self._background(exchange, await exchange.ask(http, self.protocol))

        return await self._call(endpoint).run(attempt)

    def _background(self, exchange: Exchange, body: bytes) -> BackgroundResponse:
        options = DecodeOptions(limits=exchange.call.limits, markup=exchange.endpoint.markup or self.default_markup)
        response = self._responses.decode_background(body, options)
        if response.result is None:
            return response
        return replace(response, result=exchange.complete(response.result, ()))
