"""OpenAI's chat completions, and servers that are compatible with them."""

from __future__ import annotations

from typing import ClassVar, Unpack
from urllib.parse import urlsplit

from airframe.adapters.http_adapter import HttpAdapter, HttpOptions
from airframe.endpoints import BackendKind, EndpointSpec
from airframe.protocols.chat_dialect import COMPATIBLE, OPENAI, ChatDialect
from airframe.protocols.openai_chat import OpenAIChatProtocol

__all__ = ["OpenAIChatAdapter", "OpenAICompatibleAdapter"]


class OpenAIChatAdapter(HttpAdapter):
    """OpenAI itself. `base_url` is `https://api.openai.com/v1`; a URL without a path gets the `/v1`."""

    kind = BackendKind.OPENAI
    default_dialect: ClassVar[ChatDialect] = OPENAI

    def __init__(self, *, dialect: ChatDialect | None = None, **options: Unpack[HttpOptions]) -> None:
        super().__init__(OpenAIChatProtocol(dialect or self.default_dialect), **options)

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        prefix = "" if urlsplit(endpoint.base_url).path else "/v1"
        return f"{endpoint.base_url}{prefix}{path}"


class OpenAICompatibleAdapter(OpenAIChatAdapter):
    """Any other server with `/v1/chat/completions`. What differs between them is data: pass a `ChatDialect`."""

    kind = BackendKind.OPENAI_COMPATIBLE
    default_dialect = COMPATIBLE
