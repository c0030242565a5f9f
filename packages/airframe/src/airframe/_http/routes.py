"""The way to an endpoint: whether through a proxy, and what makes two connections interchangeable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airframe.endpoints import EndpointSpec

__all__ = ["Route", "route_to"]


@dataclass(frozen=True, slots=True)
class Route:
    """What makes two connections interchangeable."""

    origin: str
    proxy: str | None
    ca_file: str | None
    client_cert: tuple[str, str] | None
    max_connections: int


def route_to(endpoint: EndpointSpec) -> Route:
    """Loopback never goes through a proxy; other hosts go through that of the environment only with `trust_env`."""
    parts = urlsplit(endpoint.base_url)
    address = _address(parts.hostname or "")
    if address is not None and address.is_loopback:
        proxy = None
    elif endpoint.proxy or not endpoint.trust_env or (address is not None and address.is_private):
        proxy = endpoint.proxy
    else:
        proxies = {} if proxy_bypass(parts.netloc) else getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
    return Route(endpoint.origin, proxy, endpoint.ca_file, endpoint.client_cert, endpoint.max_connections)


@lru_cache(maxsize=256)
def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host name spells; None for one that has to be looked up."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(host)
    except ValueError:
        return None
