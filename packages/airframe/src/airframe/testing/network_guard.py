"""A fence around the tests: sockets connect to this machine only."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["NetworkAccessError", "NetworkGuard"]


class NetworkAccessError(RuntimeError):
    """A test reached for something that is not on this machine. No `OSError`, so nothing takes it for an outage."""


class NetworkGuard:
    """Replaces the ways by which Python code reaches other machines: connecting, and looking up names.

    Names under `.invalid` (RFC 6761, 6.4) never resolve, without any resolver being asked.
    """

    def __init__(self) -> None:
        self._open = False
        self._originals = (socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo)

    def install(self) -> None:
        """Put up the fence."""
        connect, connect_ex, getaddrinfo = self._originals

        def guarded_connect(own: socket.socket, address: Any) -> None:
            self._check_address(own.family, address)
            connect(own, address)

        def guarded_connect_ex(own: socket.socket, address: Any) -> int:
            self._check_address(own.family, address)
            return connect_ex(own, address)

        def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            self._check_name(host.decode() if isinstance(host, bytes) else host)
            return getaddrinfo(host, *args, **kwargs)

        self._replace(guarded_connect, guarded_connect_ex, guarded_getaddrinfo)

    def uninstall(self) -> None:
        """Take it down."""
        self._replace(*self._originals)

    @contextmanager
    def lifted(self, lifted: bool = True) -> Generator[None]:
        """Let connections through meanwhile, if `lifted`."""
        self._open, before = lifted, self._open
        try:
            yield
        finally:
            self._open = before

    def _replace(self, connect: Any, connect_ex: Any, getaddrinfo: Any) -> None:
        for owner, name, function in (
            (socket.socket, "connect", connect),
            (socket.socket, "connect_ex", connect_ex),
            (socket, "getaddrinfo", getaddrinfo),
        ):
            setattr(owner, name, function)

    def _check_address(self, family: int, address: Any) -> None:
        if not self._open and family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(str(address[0])):
            raise NetworkAccessError(f"A test connects to {address!r}; {_REMEDY}")

    def _check_name(self, name: str | None) -> None:
        if name is not None and name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if not self._open and name is not None and not _is_loopback(name):
            raise NetworkAccessError(f"A test wants the address of {name!r}; {_REMEDY}")


_REMEDY = (
    "only loopback is open to tests (airframe_block_network). Play the backend (airframe_adapter, airframe_server), "
    "record it (airframe_cassette, --airframe-record), or mark the test airframe_live."
)


def _is_loopback(host: str) -> bool:
    if host in {"", "localhost"} or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
