"""Limits: how fast calls may be made, and what they may cost.

limits:
  rates:
    - {provider: openai, requests_per_minute: 500, tokens_per_minute: 200_000}
    - {tenant: "*", concurrency: 4}
  budgets:
    - {tenant: "*", usd: 5, per: day}
    - {agent: planner, usd: 100, per: month, warn_at: 0.8}
  store: redis://127.0.0.1:6379/0
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, model_validator

from avionics.settings.section import Count, Name, Section

__all__ = ["BudgetSettings", "LimitScope", "RateSettings", "sqlite_file"]

_SQLITE = "sqlite:///"
_STORE = re.compile(r"memory|sqlite|sqlite:///.+|(redis|rediss|unix)://.+")


def _checked_store(value: SecretStr) -> SecretStr:
    if not _STORE.fullmatch(value.get_secret_value()):
        raise ValueError("must be memory, sqlite, sqlite:///FILE or redis://HOST:PORT/DATABASE")
    return value


def _checked_zone(value: str) -> str:
    if value != "UTC":  # which needs no database of zones
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("must be a time zone such as Europe/Berlin that this machine knows") from None
    return value


StorePlace: TypeAlias = Annotated[SecretStr, AfterValidator(_checked_store), Field(examples=["memory"])]
"""Where limits are counted. Secret, because a password may stand in it."""

Zone: TypeAlias = Annotated[str, AfterValidator(_checked_zone)]
"""The name of a time zone."""


class LimitScope(Section, frozen=True):
    """Whose calls a limit counts: those that fit all that is stated. `"*"` counts each name by itself.

    A limit that states neither provider nor model counts calls whoever is asked.
    """

    provider: Name | None = None
    """The provider; None is all of them together."""
    model: Name | None = None
    """The model, as the provider knows it; None is all of them together."""
    agent: Name | None = None
    """The agent; None is all of them together."""
    tenant: Name | None = None
    """The tenant; None is all of them together."""

    @property
    def stated(self) -> tuple[tuple[str, str], ...]:
        """What is stated, as (field, name)."""
        fields = ("provider", "model", "agent", "tenant")
        return tuple((field, name) for field in fields if (name := getattr(self, field)) is not None)


class RateSettings(LimitScope, frozen=True):
    """How fast calls may be made, and how many at a time. At least one of the three is stated."""

    requests_per_minute: Count | None = None
    """Exchanges with backends, or calls where neither provider nor model is stated."""
    tokens_per_minute: Count | None = None
    """Tokens of prompts and answers together."""
    concurrency: Count | None = None
    """How many may be under way at a time."""
    burst: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of a minute's requests or tokens that may be used at once after a pause. Less is smoother."""
    max_wait: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    """The longest that a call waits for its turn, in seconds. One that would wait longer fails at once."""
    max_queue: Annotated[int, Field(ge=0)] = 1000
    """How many calls of one process may wait at a time; further ones fail at once."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.requests_per_minute is None and self.tokens_per_minute is None and self.concurrency is None:
            raise ValueError("state requests_per_minute, tokens_per_minute or concurrency")
        return self


class BudgetSettings(LimitScope, frozen=True):
    """What calls may cost, in USD, in tokens or in both."""

    usd: Annotated[Decimal | None, Field(gt=0, allow_inf_nan=False)] = None
    """USD."""
    tokens: Count | None = None
    """Tokens of prompts and answers together."""
    per: Literal["day", "month", "total"] = "month"
    """When the budget is new again: at midnight, on the first of the month, or never."""
    timezone: Zone = "UTC"
    """Whose midnight that is, such as `Europe/Berlin`."""
    unknown_price: Literal["refuse", "allow"] = "refuse"
    """What becomes of a call whose price is not known, where USD are limited: it is refused, or made uncounted."""
    warn_at: Annotated[float | None, Field(gt=0, le=1)] = None
    """The share of the budget from which on the log has a warning, once for each day or month; None is no warning."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.usd is None and self.tokens is None:
            raise ValueError("state usd or tokens")
        return self


def sqlite_file(store: SecretStr) -> Path | None:
    """The file that a store names; None where it names none."""
    place = store.get_secret_value()
    return Path(place.removeprefix(_SQLITE)) if place.startswith(_SQLITE) else None
