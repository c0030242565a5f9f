"""What an exchange asks of whatever carries it: over the network, to a model in this process, or from a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from airframe.endpoints import EndpointSpec

__all__ = ["HttpRequest", "Response", "Transport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request with everything decided: absolute URL, headers, body."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Response(Protocol):
    """The head of an answer, and its body piece by piece."""

    status: int
    headers: Mapping[str, str]

    async def read(self, limit: int) -> bytes:
        """The next piece of the body; empty at its end. Raises `AirframeError`, also beyond `limit` bytes in all."""
        ...

    def abandon(self) -> None:
        """Disconnect now, without waiting. Safe from any thread and from garbage collection."""
        ...

    async def aclose(self) -> None:
        """Disconnect, unless the body was read to its end."""
        ...


class Transport(Protocol):
    """Where requests go: over the network, or to a model in this process."""

    async def send(
        self, endpoint: EndpointSpec, request: HttpRequest, *, connect_timeout: float | None, header_bytes: int
    ) -> Response:
        """Send, and wait for the head of the answer. Raises `AirframeError`."""
        ...

    async def aclose(self) -> None:
        """Let go of what is held open."""
        ...
