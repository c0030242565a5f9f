"""Which of a host's addresses is taken, and that no socket is lost on the way."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from airframe._http import happy_eyeballs
from airframe._http.happy_eyeballs import connected_socket
from airframe.testing.hostile import full_port, unused_port

pytestmark = pytest.mark.anyio
NAME = "backend.invalid"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port that answers on 127.0.0.1, and on no other address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def resolve_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let every name have these addresses, in this order."""

    async def getaddrinfo(_: str, port: int, **__: Any) -> list[Any]:
        families = [socket.AF_INET6 if ":" in host else socket.AF_INET for host in hosts]
        kind = socket.SOCK_STREAM
        return [(family, kind, 0, "", (host, port)) for family, host in zip(families, hosts, strict=True)]

    monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)


async def test_the_next_address_follows_a_failed_one(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that refuses is no reason to wait."""
    resolve_to(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")
    monkeypatch.setattr(happy_eyeballs, "NEXT_ADDRESS_SECONDS", 60.0)
    raw = await connected_socket(NAME, listener.getsockname()[1])
    assert raw.getpeername()[0] == "127.0.0.1"
    raw.close()


async def test_the_next_address_follows_a_silent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that does not answer holds nobody up for long."""
    with full_port() as port, ExitStack() as sockets:
        try:
            sockets.enter_context(socket.create_server(("127.0.0.2", port)))
        except OSError:
            pytest.skip("this machine has one loopback address only")
        resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
        raw = sockets.enter_context(await connected_socket(NAME, port))
        assert raw.getpeername()[0] == "127.0.0.2"


async def test_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose IPv6 is broken tries one such address, not all of them, before the other kind."""
    resolve_to(monkeypatch, "::1", "::2", "::3", "127.0.0.1", "127.0.0.2", "127.0.0.1")
    addresses = await happy_eyeballs._addresses(NAME, 80)
    assert [host for _, (host, _) in addresses] == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


async def test_every_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no address answers, the error says why, once for each reason."""
    resolve_to(monkeypatch, "127.0.0.2", "127.0.0.1")
    with pytest.raises(OSError, match="refused") as raised:
        await connected_socket(NAME, unused_port())
    assert str(raised.value).count("refused") == 1


async def test_no_socket_is_lost_however_late_a_race_is_cancelled(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A race that is cancelled after any number of steps gives a socket back, or closes every one that it made.

    A lost one would be a `ResourceWarning` when it is collected, which is an error here.
    """
    resolve_to(monkeypatch, "127.0.0.2", "127.0.0.1", "127.0.0.3")
    finished = steps = 0
    while finished < 10:
        results: list[socket.socket] = []

        async def race(results: list[socket.socket] = results) -> None:
            results.append(await connected_socket(NAME, listener.getsockname()[1]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(race)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        steps += 1
        for raw in results:
            finished += 1
            raw.close()
    gc.collect()
    assert steps > finished
