"""What a price depends on besides who answered and how much was said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["STANDARD_TIERS", "Terms"]

STANDARD_TIERS = frozenset({"auto", "default", "on_demand", "standard", "standard_only"})
"""The backends' words for their usual tier, at list prices (recorded with OpenAI, Azure, Anthropic, OpenRouter and Groq
until 2026-11-20).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which terms a call was made. None is unknown, and for `at` the present.

    Attributes:
        kind: the kind of backend, as airframe names it.
        server_address: the host that was asked.
        at: when; prices change.
        service_tier: the tier by which the backend says it bills, in its word; `batch` for what was asked in a batch.
        seconds: how long the exchange took, for hardware that is paid by the hour.
    """

    kind: str | None = None
    server_address: str | None = None
    at: datetime | None = None
    service_tier: str | None = None
    seconds: float | None = None

    @property
    def tier(self) -> str | None:
        """The tier, where it is not the usual one."""
        return None if self.service_tier in STANDARD_TIERS else self.service_tier
