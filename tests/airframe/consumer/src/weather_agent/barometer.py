"""A backend kind brought from outside: "barometer", a server that speaks chat completions in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from airframe import EndpointSpec
from airframe.adapters.http_adapter import HttpAdapter, HttpOptions
from airframe.protocols import ChatDialect, OpenAIChatProtocol

__all__ = ["BAROMETER", "BarometerAdapter"]

BAROMETER = ChatDialect(
    name="barometer",
    fields={"temperature": "temperature", "seed": "seed"},
    max_tokens="longest",
    reasoning_field="reasoning_content",
)


class BarometerAdapter(HttpAdapter):
    """Its paths begin with `/api`, and its key has a header of its own."""

    kind = "barometer"

    def __init__(self, **options: Unpack[HttpOptions]) -> None:
        super().__init__(OpenAIChatProtocol(BAROMETER), **options)

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        return f"{endpoint.base_url}/api{path}"

    def headers(self, endpoint: EndpointSpec) -> Mapping[str, str]:
        return {"x-barometer-key": endpoint.key} if endpoint.key else {}
