"""Where answers are kept to be given again, and for how long."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from avionics.settings.section import Count, Name, Seconds, Section

__all__ = ["CacheSettings"]

_SCHEMES = {
    "sql": ("sqlite:///", "postgresql://", "postgresql+psycopg://"),
    "redis": ("redis://", "rediss://", "unix://"),
}


class CacheSettings(Section, frozen=True):
    """The response cache. It keeps what models answered, in plain text: off unless a backend is named."""

    backend: Literal["memory", "sql", "redis"] | None = None
    """`memory` (this process), `sql` (SQLite or PostgreSQL) or `redis` (extra `redis`). None is no cache."""
    url: SecretStr | None = None
    """For `sql`: `sqlite:///FILE` or `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE`; None is the file
    `responses.db` in the user's cache directory. For `redis`: `redis://HOST:6379/0`.
    """
    all: bool = False
    """Whether calls are answered from the cache that ask neither for temperature 0 nor for a seed."""
    ttl: Seconds | None = 86_400.0
    """How old an answer may become, in seconds. None is as old as it likes."""
    max_entries: Count = 10_000
    """As many answers are kept in `memory` and in `sql`. Redis has its own setting, `maxmemory`."""
    max_bytes: Count = 67_108_864
    """What the answers in `memory` may take together."""
    max_entry_bytes: Count = 1_048_576
    """The longest answer that is kept, as JSON."""
    timeout: Seconds = 1.0
    """How long a backend may take to read or write, in seconds. A slower one counts as down: see `rest`."""
    rest: Seconds = 5.0
    """For how long nobody asks a backend that is down, in seconds."""
    wait: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    """How long a call waits for another one that asks the same, in seconds, before it asks for itself."""
    prefix: Name = "avionics:response:"
    """What keys in Redis begin with."""

    @model_validator(mode="after")
    def _url_fits_backend(self) -> Self:
        if self.backend is None:
            return self
        schemes = _SCHEMES.get(self.backend, ())
        if self.url is None:
            if self.backend == "redis":
                raise ValueError("backend redis needs a url, such as redis://localhost:6379/0")
        elif not schemes:
            raise ValueError("a url is for the backends sql and redis; leave it out for memory")
        elif not self.url.get_secret_value().startswith(schemes):
            raise ValueError(f"the url for backend {self.backend} must begin with {' or '.join(schemes)}")
        return self
