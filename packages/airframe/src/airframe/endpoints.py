"""Where a model is called: the address, its key, and the limits that hold there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Self
from urllib.parse import SplitResult, urlsplit

from airframe.errors import ConfigurationError
from airframe.redaction import Secret
from airframe.types.request import Markup

__all__ = [
    "BackendKind",
    "CapacityHints",
    "EndpointSpec",
    "HealthReport",
    "HealthState",
    "Limits",
    "ServerLoad",
    "Timeouts",
]


class BackendKind(StrEnum):
    """The kinds of backend that airframe brings: a wire format in the dialect of one kind of server."""

    ANTHROPIC = "anthropic"
    AZURE = "azure"
    LLAMA_CPP = "llama_cpp"
    LLAMA_CPP_PYTHON = "llama_cpp_python"
    LLAMA_SERVER = "llama_server"
    LM_STUDIO = "lm_studio"
    MLX = "mlx"
    OLLAMA = "ollama"
    OPENAI = "openai"
    OPENAI_COMPATIBLE = "openai_compatible"
    OPENAI_RESPONSES = "openai_responses"
    OPENROUTER = "openrouter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Five limits, in seconds; None is no limit. Each has one meaning.

    Attributes:
        connect: until the connection stands, encryption included.
        first_event: from the start of an attempt until the first event of a stream, or the first byte of a whole
            answer.
        idle: between two events of a stream, or two reads of a whole answer. Comments and pings are no events.
        attempt: one exchange, from its start to its last byte.
        total: the call with all its attempts and the pauses between them.
    """

    connect: float | None = 10.0
    first_event: float | None = 300.0
    idle: float | None = 120.0
    attempt: float | None = 900.0
    total: float | None = 1800.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value: object = getattr(self, item.name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
                raise ConfigurationError(
                    f"Timeouts.{item.name} must be a positive number of seconds or None, got {value!r}"
                )

    @classmethod
    def local(cls) -> Self:
        """For servers on one's own hardware: reading a long prompt on a CPU, or loading a model, takes minutes."""
        return cls(first_event=900.0, attempt=1800.0, total=3600.0)

    @classmethod
    def of(cls, value: float | Timeouts, default: Timeouts) -> Timeouts:
        """`value` itself, or `default` with its attempts limited to that many seconds."""
        return value if isinstance(value, Timeouts) else replace(default, attempt=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest answer that is accepted, so that no server can fill the memory. Each is a security limit.

    Attributes:
        header_bytes: the head of an answer, and the trailer of one in chunks. Through a proxy, where httpx reads it,
            100 KiB are the most.
        line_bytes: one line of a stream. Final events of long answers and images are megabytes long.
        event_bytes: one event, all its lines together.
        body_bytes: everything received in one exchange, after decompression.
        error_body_bytes: what is read of an error's body; the rest is not needed to understand it.
        tool_calls: tool calls in one answer.
    """

    header_bytes: int = 256 * 1024
    line_bytes: int = 32 * 1024 * 1024
    event_bytes: int = 32 * 1024 * 1024
    body_bytes: int = 256 * 1024 * 1024
    error_body_bytes: int = 256 * 1024
    tool_calls: int = 1024

    def __post_init__(self) -> None:
        for item in fields(self):
            value: object = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"Limits.{item.name} must be a positive integer, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityHints:
    """What is known of a server's size; None is unknown. Whoever spreads load reads it, airframe itself does not."""

    slots: int | None = None
    context_window: int | None = None


class HealthState(StrEnum):
    """What a probe found."""

    HEALTHY = "healthy"
    LOADING = "loading"
    UNHEALTHY = "unhealthy"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """The outcome of a probe. `latency` is in seconds; `detail` says in words what was found."""

    state: HealthState
    detail: str = ""
    latency: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether a call may be sent there now."""
        return self.state is HealthState.HEALTHY


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLoad:
    """What a server is occupied with now; None is what it does not say.

    Attributes:
        slots: how many requests it works on at once.
        busy_slots: on how many of them it works now.
        waiting: how many requests wait for a slot.
        loaded_models: the ids of the models that are in its memory.
    """

    slots: int | None = None
    busy_slots: int | None = None
    waiting: int | None = None
    loaded_models: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpec:
    """A place to call.

    Attributes:
        base_url: `http` or `https`, without credentials, query or fragment. A path is kept in front of the backend's
            paths. For a model in this process (`llama_cpp`, `llama_cpp_python`), the `file` URL of its GGUF file.
        backend_kind: which adapter speaks to it.
        api_key: sent to this origin only. A text is wrapped in a `Secret`.
        model: the model for requests that name none.
        headers: sent with every request; they win over the adapter's own.
        timeouts: None takes the adapter's.
        limits: None takes the adapter's.
        max_connections: how many exchanges may run at once; further ones wait.
        proxy: an `http`, `https` or `socks5` proxy. None is a direct connection.
        trust_env: take the proxy from the environment, as `HTTPS_PROXY` and `NO_PROXY` say; never for loopback.
        ca_file: certificates to trust instead of the built-in ones.
        client_cert: certificate file and key file with which to prove who we are.
        markup: how the model behind it marks its reasoning inside plain text; None takes what is usual for the kind.
        idempotency_header: the header in which the endpoint expects a key of its own for each call, such as
            `idempotency-key`; all attempts of a call carry the same one, so that a gateway that knows it bills once.
            None, as no provider of ours documents one, sends none.

    Raises `ConfigurationError` that names the field.
    """

    base_url: str
    backend_kind: BackendKind | str = BackendKind.LLAMA_SERVER
    api_key: Secret | str | None = None
    model: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeouts: Timeouts | None = None
    limits: Limits | None = None
    max_connections: int = 100
    proxy: str | None = field(default=None, repr=False)
    trust_env: bool = False
    ca_file: str | None = None
    client_cert: tuple[str, str] | None = None
    capacity: CapacityHints = field(default_factory=CapacityHints)
    markup: Markup | None = None
    idempotency_header: str | None = None

    def __post_init__(self) -> None:
        if self.backend_kind in {BackendKind.LLAMA_CPP, BackendKind.LLAMA_CPP_PYTHON}:
            _check_file_url("base_url", self.base_url)
        else:
            _check_url("base_url", self.base_url)
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        key: object = self.api_key
        if isinstance(key, str):
            object.__setattr__(self, "api_key", Secret(_checked_key(key)))
        elif key is not None and not isinstance(key, Secret):
            raise ConfigurationError(f"api_key must be a text or a Secret, got {type(key).__name__}")
        if isinstance(self.max_connections, bool) or self.max_connections < 1:
            raise ConfigurationError(f"max_connections must be a positive integer, got {self.max_connections!r}")
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ConfigurationError(f"headers has a name that HTTP does not allow: {name!r}")
            if any(character in value for character in "\r\n\0"):
                raise ConfigurationError(f"headers[{name!r}] holds a line break; give a single line")
        if self.idempotency_header is not None and not _HEADER_NAME.fullmatch(self.idempotency_header):
            raise ConfigurationError(
                f"idempotency_header must be the name of a header, such as 'idempotency-key', or None, "
                f"got {self.idempotency_header!r}"
            )

    @property
    def origin(self) -> str:
        """Scheme, host and port: what an error names, and what a key belongs to. For a model's file, its URL."""
        parts = urlsplit(self.base_url)
        if parts.scheme == "file":
            return self.base_url
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def key(self) -> str | None:
        """The key itself, for the header that carries it."""
        return self.api_key.reveal() if isinstance(self.api_key, Secret) else self.api_key

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in any message: the key and the values of the headers."""
        return (*([self.key] if self.key else []), *self.headers.values())


_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LONGEST_LABEL = 63  # RFC 1035, 2.3.4


def _checked_key(key: str) -> str:
    if not key.strip():
        raise ConfigurationError("api_key is empty; leave it None for a backend that needs no key")
    if key != key.strip() or not key.isascii() or not key.isprintable():
        raise ConfigurationError(
            "api_key holds spaces, line breaks or other characters that no header can carry; check how it was copied"
        )
    return key


def _check_file_url(name: str, url: object) -> None:
    example = "such as 'file:///models/model.gguf', which Path(...).as_uri() gives"
    if not isinstance(url, str):
        raise ConfigurationError(f"{name} must be a text {example}, got {type(url).__name__}")
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} of a model in this process must be the URL of its file, {example}")


def _check_url(name: str, url: object) -> None:
    """A malformed URL may hold a key, so no message here repeats it."""
    if not isinstance(url, str):
        raise ConfigurationError(f"{name} must be a text such as 'http://127.0.0.1:8080', got {type(url).__name__}")
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{name} is not a valid URL: {error}") from None
    if parts.scheme not in {"http", "https"}:
        raise ConfigurationError(
            f"{name} must begin with http:// or https://, got scheme {parts.scheme!r}; say http://127.0.0.1:8080"
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{name} must not hold a user name or password; give the key as api_key")
    if parts.query or parts.fragment or "#" in url:
        raise ConfigurationError(f"{name} must end with its path, without query or fragment")
    host = parts.hostname
    if not host or port == 0 or any(character.isspace() or not character.isprintable() for character in url):
        raise ConfigurationError(f"{name} needs a host, such as http://127.0.0.1:8080, and no spaces")
    if any(len(label) > _LONGEST_LABEL for label in host.split(".")):
        raise ConfigurationError(f"{name} has a host name with a part longer than {_LONGEST_LABEL} characters")
