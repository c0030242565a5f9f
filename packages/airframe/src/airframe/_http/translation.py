"""Our exceptions for those of the libraries underneath."""

from __future__ import annotations

import ssl

import httpx

from airframe.errors import (
    AirframeError,
    CallTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    InvalidRequestError,
    LimitExceededError,
    MalformedAnswerError,
    Phase,
    TLSError,
    TruncatedAnswerError,
)

__all__ = ["translated"]


def translated(error: Exception, phase: Phase, origin: str) -> AirframeError:
    """Our exception for one of the libraries underneath."""
    said = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectTimeout):
        timeout = CallTimeoutError(f"no connection to {origin} in time (Timeouts.connect)", phase=Phase.BEFORE_SEND)
        timeout.timeout = "connect"
        return timeout
    if _has_cause(error, ssl.SSLError) and phase is not Phase.CONTENT:
        return TLSError(f"no encrypted connection to {origin}: {said}", phase=Phase.BEFORE_SEND)
    if isinstance(error, (httpx.ConnectError, httpx.ProxyError)):
        return ConnectionFailedError(f"no connection to {origin}: {said}", phase=Phase.BEFORE_SEND)
    if isinstance(error, httpx.RemoteProtocolError):
        return _protocol_violation(said, phase, origin)
    if isinstance(error, httpx.LocalProtocolError):
        return InvalidRequestError(f"the request cannot be sent as HTTP: {said}", phase=Phase.BEFORE_SEND)
    if isinstance(error, (httpx.UnsupportedProtocol, ImportError)):
        return ConfigurationError(f"{origin} cannot be reached this way: {said}", phase=Phase.BEFORE_SEND)
    return ConnectionFailedError(f"the connection to {origin} was lost: {said}", phase=phase)


def _protocol_violation(said: str, phase: Phase, origin: str) -> AirframeError:
    if "too long" in said:  # h11's words, at httpcore's 100 KiB; and our own transport's
        return LimitExceededError(
            f"the head or trailer of the answer is larger than Limits.header_bytes: {said}",
            phase=Phase.CONTENT if phase is Phase.CONTENT else Phase.HEADERS,
            limit="header_bytes",
        )
    if "without sending" in said:  # "a response", or "complete message body"
        if phase is Phase.CONTENT:
            return TruncatedAnswerError(f"the answer was cut: {said}", phase=phase)
        return ConnectionFailedError(f"the connection to {origin} was closed: {said}", phase=phase)
    return MalformedAnswerError(f"the answer is not valid HTTP: {said}", phase=phase)


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    seen: set[int] = set()  # under trio, the chain may be a ring
    while error is not None and id(error) not in seen:
        if isinstance(error, kind):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
