"""Model ids: `provider:model` for what somebody serves, `name:runtime@host:port` for what runs somewhere.

gpt-5                                    a model, whoever serves it
openai:gpt-5                             a model of a provider
ollama:llama3:latest                     the same, the name with a tag
llama3:latest:ollama@localhost:11434     a model in a runtime
llama3:latest:ollama                     the same, at the runtime's usual address
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, cast
from urllib.parse import urlsplit

from avionics.errors import ConfigurationError

__all__ = [
    "DEFAULT_PORTS",
    "PROVIDERS",
    "LocalRuntime",
    "ModelId",
    "Runtime",
    "local_runtime",
    "parse_model_id",
    "place_of",
]

LocalRuntime: TypeAlias = Literal["ollama", "lm_studio", "llama_server", "llama_cpp", "mlx"]
Runtime: TypeAlias = Literal["api"] | LocalRuntime
"""Where a model runs. The local ones are called like airframe's backend kinds."""

DEFAULT_PORTS: Mapping[LocalRuntime, int] = MappingProxyType(
    {"llama_server": 8080, "lm_studio": 1234, "mlx": 8080, "ollama": 11434}
)
"""Where the servers listen unless told otherwise (their documentation, read 2026-11-20)."""

PROVIDERS = frozenset(
    {
        "anthropic",
        "azure",
        "gpt_oss",
        "llamacpp",
        "llamaserver",
        "lmstudio",
        "mock",
        "ollama",
        "openai",
        "openai_compatible",
        "openrouter",
    }
)
"""Names that mean a provider in front of a colon; any other first word is part of the model's name."""

_RUNTIMES: Mapping[str, LocalRuntime] = MappingProxyType(
    {
        "llamacpp": "llama_cpp",
        "llamaserver": "llama_server",
        "lmstudio": "lm_studio",
        "mlx": "mlx",
        "ollama": "ollama",
    }
)
_HOST = "127.0.0.1"  # `localhost` may be ::1 first, where these servers do not listen
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/\s]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelId:
    """A model's name and who answers for it: a provider, a runtime at an address, or (neither) whoever has it."""

    name: str
    provider: str | None = None
    runtime: LocalRuntime | None = None
    host: str | None = None
    port: int | None = None

    @classmethod
    def at(cls, name: str, runtime: LocalRuntime, base_url: str) -> ModelId:
        """The id of a model that runs at `base_url`."""
        parts = urlsplit(base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(name=name, runtime=runtime, host=parts.hostname, port=port)

    @property
    def base_url(self) -> str | None:
        """Where the runtime listens; None without a runtime, and for a model inside this process."""
        if self.runtime is None or self.runtime not in DEFAULT_PORTS:
            return None
        return f"http://{_bracketed(self.host or _HOST)}:{self.port or DEFAULT_PORTS[self.runtime]}"

    def runs_at(self, kind: str, base_url: str) -> bool:
        """Whether its runtime is what backends of this kind are, at this address."""
        return kind == self.runtime and (self.base_url is None or place_of(self.base_url) == place_of(base_url))

    def __str__(self) -> str:
        if self.runtime is None:
            return f"{self.provider}:{self.name}" if self.provider else self.name
        address = f"@{_bracketed(self.host)}" if self.host else ""
        return f"{self.name}:{self.runtime}{address}{f':{self.port}' if self.port else ''}"


def parse_model_id(text: str, providers: Collection[str] = PROVIDERS) -> ModelId:
    """What an id says. `providers` are the names that mean a provider in front of a colon.

    Raises `ConfigurationError` that shows the form an id has.
    """
    text = text.strip()
    head, at, address = text.rpartition("@")
    name, _, last = (head if at else text).rpartition(":")
    runtime = local_runtime(last)
    if name and runtime and (at or name.partition(":")[0] not in providers):
        host, port = _parse_address(text, address) if at else (None, None)
        return ModelId(name=name, runtime=runtime, host=host, port=port)
    provider, colon, name = text.partition(":")
    if colon and provider in providers:
        if not name:
            raise ConfigurationError(f"model id {text!r} names no model; write for example '{provider}:NAME'")
        return ModelId(name=name, provider=provider)
    if not text:
        raise ConfigurationError("a model id must not be empty; write for example 'gpt-5' or 'openai:gpt-5'")
    return ModelId(name=text)


def place_of(base_url: str) -> tuple[str | None, int | None]:
    """Host and port of a URL; `localhost` and 127.0.0.1 are one place."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (_HOST if parts.hostname == "localhost" else parts.hostname), port


def local_runtime(word: str) -> LocalRuntime | None:
    """The runtime of that name, however it is written (`lm-studio`, `LM_Studio`); None for any other word."""
    return _RUNTIMES.get(re.sub(r"[-_ ]", "", word).lower())


def _parse_address(text: str, address: str) -> tuple[str, int | None]:
    match = _ADDRESS.fullmatch(address)
    port = cast("str | None", match["port"]) if match else None
    if match is None or (port is not None and not 0 < int(port) < 65536):
        raise ConfigurationError(
            f"model id {text!r} has no valid address behind '@'; write 'llama3:latest:ollama@127.0.0.1:11434'"
        )
    return match["host"].strip("[]"), int(port) if port else None


def _bracketed(host: str | None) -> str:
    return f"[{host}]" if host and ":" in host else host or ""
