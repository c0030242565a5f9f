"""What stands at the other end of a lane: our own transport, or httpx's, each with a single connection."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TypeAlias

import httpx

from airframe._http.http1 import Http1Transport
from airframe._http.routes import Route
from airframe.errors import ConfigurationError

__all__ = ["Connector", "default_connector", "httpx_connector"]

KEEPALIVE_SECONDS = (
    30.0  # shorter than the idle limits of common proxies and servers, so that few reused connections are found dead
)

Connector: TypeAlias = Callable[[Route], httpx.AsyncBaseTransport]
"""Makes a transport that holds at most one connection."""


def default_connector(route: Route) -> httpx.AsyncBaseTransport:
    """Our own transport, and httpx's for the way through a proxy."""
    if route.proxy is None:
        return Http1Transport(tls=_tls(route))
    return httpx_connector(route)


def httpx_connector(route: Route) -> httpx.AsyncBaseTransport:
    """httpx's own transport."""
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS)
    try:
        return httpx.AsyncHTTPTransport(verify=_tls(route) or False, limits=limits, proxy=route.proxy, trust_env=False)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(f"the proxy of {route.origin} cannot be used: {type(error).__name__}") from None


def _tls(route: Route) -> ssl.SSLContext | None:
    return _tls_context(route.ca_file, route.client_cert) if route.origin.startswith("https:") else None


_tls_contexts: dict[tuple[str | None, tuple[str, str] | None], ssl.SSLContext] = {}


def _tls_context(ca_file: str | None, client_cert: tuple[str, str] | None) -> ssl.SSLContext:
    """Reading the certificates takes some 20 ms, and a context may be shared."""
    key = (ca_file, client_cert)
    if context := _tls_contexts.get(key):
        return context
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)
        if client_cert:
            context.load_cert_chain(*client_cert)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"ca_file or client_cert cannot be read: {error}") from None
    return _tls_contexts.setdefault(key, context)
