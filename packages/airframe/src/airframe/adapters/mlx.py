"""`mlx_lm.server`. Source: mlx-lm 0.32.2 and its recorded answers (read 2026-11-20)."""

from __future__ import annotations

from airframe.adapters.openai_chat import OpenAICompatibleAdapter
from airframe.endpoints import BackendKind, EndpointSpec, Timeouts
from airframe.exchange import Exchange
from airframe.protocols.local_dialects import MLX
from airframe.protocols.reading import parse_object, text_in

__all__ = ["MLXAdapter"]


class MLXAdapter(OpenAICompatibleAdapter):
    """MLX's HTTP server, and other local servers that pass gpt-oss's text on as it comes.

    The server itself separates the reasoning of models with `<think>` tokens, but not the channels of gpt-oss: these
    are split here (`markup="harmony"`), and text without channels is not changed by it.

    `base_url` is the server's root, such as `http://127.0.0.1:8080`; a `/v1` at its end is left out.
    """

    kind = BackendKind.MLX
    default_dialect = MLX
    default_timeouts = Timeouts.local()
    default_markup = "harmony"

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        prefix = "" if path == "/health" else "/v1"
        return endpoint.base_url.removesuffix("/v1") + prefix + path

    async def probe(self, exchange: Exchange) -> str:
        return text_in(parse_object(await self.get(exchange, "/health")), "status") or "ok"
