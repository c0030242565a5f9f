"""What holds for every provider that does not say otherwise."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from avionics.settings.limits import BudgetSettings, RateSettings, StorePlace
from avionics.settings.providers import TimeoutSettings
from avionics.settings.section import Name, Seconds, Section

__all__ = ["LimitsSettings"]


class LimitsSettings(Section, frozen=True):
    """What holds for every provider that does not say otherwise, and how fast and at what cost calls may be made."""

    timeouts: TimeoutSettings = TimeoutSettings()
    """Limits in time; what is not stated is what is usual for the kind of backend."""
    max_retries: Annotated[int, Field(ge=0)] = 3
    """How often the same endpoint is asked again before a fallback."""
    rates: tuple[RateSettings, ...] = ()
    """How fast calls may be made, and how many at a time. Each that fits a call counts it."""
    budgets: tuple[BudgetSettings, ...] = ()
    """What calls may cost. Each that fits a call counts it."""
    store: StorePlace = SecretStr("memory")
    """Where rates and budgets are counted: `memory`, in this process; `sqlite`, for all processes on this machine, in
    the user's data directory, or `sqlite:///FILE`; `redis://HOST:PORT/DATABASE`, across machines (extra `redis`).
    """
    store_prefix: Name = "avionics"
    """What the keys in Redis begin with: who shares it shares the limits."""
    on_store_failure: Literal["allow", "refuse"] = "allow"
    """What becomes of calls while the store cannot be used: they are made uncounted, or refused."""
    store_timeout: Seconds = 2.0
    """How long the store may take to count a call, in seconds. A slower one counts as failing."""
    store_rest: Seconds = 5.0
    """For how long nobody asks a store that failed, in seconds."""
    learn: bool = True
    """Whether calls wait when the headers of answers say that the provider's own limit is reached."""
