"""The tests' own fence: the network guard of airframe's plugin, and a clean environment (tests/conftest.py)."""

from __future__ import annotations

import os
import socket

import anyio
import pytest


def test_a_connection_to_another_machine_is_refused() -> None:
    """A socket that leaves this machine fails with an error that says so."""
    with socket.socket() as outside, pytest.raises(RuntimeError, match=r"192\.0\.2\.1.*only loopback"):
        outside.connect(("192.0.2.1", 443))
    with socket.socket() as outside, pytest.raises(RuntimeError, match=r"192\.0\.2\.1.*only loopback"):
        outside.connect_ex(("192.0.2.1", 443))


@pytest.mark.anyio
async def test_a_name_of_another_machine_is_not_looked_up() -> None:
    """Async code meets the fence too, on both event loops."""
    with pytest.raises(RuntimeError, match=r"example\.com.*only loopback"):
        await anyio.connect_tcp("example.com", 80)


@pytest.mark.anyio
async def test_loopback_is_open() -> None:
    """A client reaches a server on this machine, by address and by name."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener:
        for host in ("127.0.0.1", "localhost"):
            async with await anyio.connect_tcp(host, port):
                pass


def test_a_name_under_invalid_does_not_resolve() -> None:
    """Tests of a failed look-up need no resolver."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("backend.invalid", 443)


def test_no_key_and_no_proxy_of_the_developer_is_seen() -> None:
    """The environment of a test holds no key, no proxy and no setting from outside."""
    assert not [
        name for name in os.environ if name.upper().endswith(("_API_KEY", "_PROXY")) or name.startswith("AVIONICS_")
    ]
