"""A socket that is connected to a host, by whichever of its addresses answers first: RFC 8305, "happy eyeballs".

asyncio can do this too, but loses a socket that is connected in the very moment in which the race is cancelled.
This one serves asyncio and trio alike.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import TypeAlias

import anyio

__all__ = ["connected_socket"]

Address: TypeAlias = tuple[socket.AddressFamily, tuple[str, int]]

NEXT_ADDRESS_SECONDS = 0.25  # RFC 8305, section 5: how long an address has for itself before the next one is tried too


async def connected_socket(host: str, port: int) -> socket.socket:
    """A connected socket that does not block. Raises `OSError`; `UnicodeError` for a name that cannot be asked for."""
    addresses = await _addresses(host, port)
    return await _connect(addresses[0]) if len(addresses) == 1 else await _first_to_connect(addresses)


async def _first_to_connect(addresses: Sequence[Address]) -> socket.socket:
    connected: list[socket.socket] = []
    errors: list[OSError] = []

    async def attempt(address: Address, failed: anyio.Event) -> None:
        try:
            connected.append(await _connect(address))
        except OSError as error:
            errors.append(error)
            failed.set()
        else:
            race.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as race:
            for address in addresses:
                failed = anyio.Event()
                race.start_soon(attempt, address, failed)
                with anyio.move_on_after(NEXT_ADDRESS_SECONDS):
                    await failed.wait()
    except BaseException:
        _close(connected)
        raise
    if not connected:
        raise OSError("; ".join(dict.fromkeys(map(str, errors))))
    _close(connected[1:])
    return connected[0]


async def _connect(address: Address) -> socket.socket:
    family, place = address
    raw = socket.socket(family, socket.SOCK_STREAM)
    try:
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BlockingIOError):
            raw.connect(place)
        await anyio.wait_writable(raw)
        if code := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
    except BaseException:
        raw.close()
        raise
    return raw


async def _addresses(host: str, port: int) -> Sequence[Address]:
    """Where `host` is found, its address families in turn."""
    with suppress(ValueError):
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        return [(family, (host, port))]
    found = [(info[0], info[4]) for info in await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    places: Counter[socket.AddressFamily] = Counter()
    numbered: list[tuple[int, Address]] = []
    for family, place in dict.fromkeys(found):
        numbered.append((places[family], (family, place)))
        places[family] += 1
    return [address for _, address in sorted(numbered, key=lambda pair: pair[0])]


def _close(sockets: Sequence[socket.socket]) -> None:
    for raw in sockets:
        raw.close()
