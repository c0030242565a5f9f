"""A server for the tests of adapters: it answers, and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from airframe.testing.hostile.server import Connection, HostileServer, head


@pytest.fixture
def json_server() -> Callable[..., HostileServer]:
    """Makes a server that answers with JSON: always the same, or what a function makes of the request."""

    def make(answer: object, status: int = 200, headers: Mapping[str, str] | None = None) -> HostileServer:
        def script(connection: Connection) -> None:
            said = answer(connection.request) if callable(answer) else answer
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            connection.send(head(status, content_length=len(body), headers=headers or {}) + body)

        return HostileServer(script)

    return make
