"""Everything that can go wrong, as one tree.

    AirframeError
    ├── ConfigurationError           an endpoint or adapter was set up wrongly; nothing was sent
    ├── InvalidRequestError          a request that no backend could take; nothing was sent
    ├── TransportError               no complete answer
    │   ├── ConnectionFailedError    refused, reset, unreachable, closed
    │   ├── TLSError                 the other side could not prove who it is; nothing was sent
    │   └── CallTimeoutError         one of the five timeouts ran out (`timeout` says which)
    ├── ProtocolError                an answer that cannot be read
    │   ├── TruncatedAnswerError     it ended before the backend said that it was complete
    │   ├── MalformedAnswerError     it is not what the wire format says
    │   └── LimitExceededError       it is larger than a limit allows (`limit` says which)
    └── BackendError                 the backend said no: by status, or inside a 200

The class says *where* it failed. `category` says *what to do*, and is what retry and fallback read. Nothing of the
libraries underneath comes through. Every error pickles, and its text is at most `MAX_MESSAGE_BYTES` long.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from airframe.types.attempt import Attempt
    from airframe.types.result import InferenceResult

__all__ = [
    "MAX_MESSAGE_BYTES",
    "AirframeError",
    "BackendError",
    "CallTimeoutError",
    "ConfigurationError",
    "ConnectionFailedError",
    "ErrorCategory",
    "InvalidRequestError",
    "LimitExceededError",
    "MalformedAnswerError",
    "Phase",
    "ProtocolError",
    "TLSError",
    "TimeoutKind",
    "TransportError",
    "TruncatedAnswerError",
]

MAX_MESSAGE_BYTES = 2048
"""The longest text of an error, in UTF-8: enough for any backend's explanation, short enough for a log line."""

TimeoutKind: TypeAlias = Literal["connect", "first_event", "idle", "attempt", "total"]


class ErrorCategory(StrEnum):
    """What to do about an error. Wire formats map their codes to these; the tables are beside each format."""

    AUTH = "auth"
    PERMISSION = "permission"
    BILLING = "billing"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    LOADING = "loading"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    NOT_FOUND = "not_found"
    UNSUPPORTED = "unsupported"
    INVALID_REQUEST = "invalid_request"
    CONFLICT = "conflict"
    TIMEOUT = "timeout"
    SERVER = "server"
    CONNECTION = "connection"
    TLS = "tls"
    PROTOCOL = "protocol"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


RETRYABLE_CATEGORIES = frozenset(
    {
        ErrorCategory.RATE_LIMIT,
        ErrorCategory.OVERLOADED,
        ErrorCategory.LOADING,
        ErrorCategory.CONFLICT,
        ErrorCategory.TIMEOUT,
        ErrorCategory.SERVER,
        ErrorCategory.CONNECTION,
        ErrorCategory.PROTOCOL,
    }
)
"""Categories in which the same request to the same endpoint may well succeed a little later."""


class Phase(StrEnum):
    """How far an exchange had come when it failed."""

    BEFORE_SEND = "before_send"
    SENT = "sent"
    HEADERS = "headers"
    CONTENT = "content"


class AirframeError(Exception):
    """The root of the tree; also what a failed call raises when nothing more exact fits.

    Args:
        message: what happened and, where there is one, the remedy. Never holds a secret.
        category: what to do about it.
        phase: how far the exchange had come; None when there was none.
        endpoint: the origin that was called, such as `https://api.openai.com`.
        status: the HTTP status; also 200, when the error was inside the answer.
        code: the backend's machine code.
        retry_after: seconds for which the backend wants to be left alone; None if it gave no usable hint.
        retryable: whether the same request may succeed at the same endpoint; by default the category decides.
        request_id: the backend's name for the exchange.
        body: the beginning of the answer, redacted.
    """

    default_category = ErrorCategory.UNKNOWN

    def __init__(
        self,
        message: str = "",
        *,
        category: ErrorCategory | None = None,
        phase: Phase | None = None,
        endpoint: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        request_id: str | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(_shortened(message))
        self.category = self.default_category if category is None else category
        self.phase = phase
        self.endpoint = endpoint
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.retryable = self.category in RETRYABLE_CATEGORIES if retryable is None else retryable
        self.request_id = request_id
        self.body = body
        self.committed = False
        """True when part of the answer had reached the caller: then a retry would say it twice."""
        self.partial: InferenceResult | None = None
        """What had been received of the answer; its `finish_reason` is None."""
        self.attempts: Sequence[Attempt] = ()
        """Every exchange of the call, the failed last one included."""

    @property
    def safe_to_retry(self) -> bool:
        """Whether the call may be made again without saying anything twice."""
        return self.retryable and not self.committed


class ConfigurationError(AirframeError, ValueError):
    """An endpoint, adapter or policy was set up with a value that cannot work. The message names the field."""

    default_category = ErrorCategory.INVALID_REQUEST


class InvalidRequestError(AirframeError, ValueError):
    """A request that cannot be sent as it is. The message names the field."""

    default_category = ErrorCategory.INVALID_REQUEST


class TransportError(AirframeError):
    """No complete answer was received."""

    default_category = ErrorCategory.CONNECTION


class ConnectionFailedError(TransportError):
    """The connection could not be made, or was lost."""


class TLSError(TransportError):
    """The encrypted connection could not be set up; the request was not sent."""

    default_category = ErrorCategory.TLS


class CallTimeoutError(TransportError, TimeoutError):
    """Time ran out. `timeout` names the limit that did (see `airframe.endpoints.Timeouts`)."""

    default_category = ErrorCategory.TIMEOUT
    timeout: TimeoutKind | None = None


class ProtocolError(AirframeError):
    """An answer came that cannot be read."""

    default_category = ErrorCategory.PROTOCOL


class TruncatedAnswerError(ProtocolError):
    """The answer ended without the backend's own end marker."""


class MalformedAnswerError(ProtocolError):
    """The answer is not in the wire format that was expected."""


class LimitExceededError(ProtocolError):
    """The answer is larger than allowed. `limit` names the field of `airframe.endpoints.Limits`."""

    limit: str | None = None

    def __init__(self, message: str = "", *, phase: Phase | None = None, limit: str | None = None) -> None:
        super().__init__(message, phase=phase, retryable=False)
        self.limit = limit


class BackendError(AirframeError):
    """The backend refused or failed, and said so."""


def _shortened(message: str) -> str:
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return encoded.decode()
    return encoded[: MAX_MESSAGE_BYTES - 4].decode("utf-8", "ignore") + " …"
