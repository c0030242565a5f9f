"""What a call may use, said before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

__all__ = ["Demand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What an exchange with a backend, or a whole call, may use at the most.

    Without a `provider` it is a call of which it is not known yet who will be asked: limits that state a provider or a
    model do not count it. `input_tokens` is an estimate. `output_tokens` is the most that may be said: an assumption,
    where the call sets no limit. `cost_usd` is the most that it may cost; None is an unknown price. `own_quota` names
    the deployment where the provider counts its calls apart from all others.
    """

    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    provider: str | None = None
    model: str | None = None
    agent: str | None = None
    tenant: str | None = None
    own_quota: str | None = None

    @property
    def quota(self) -> str | None:
        """What the provider's own limits are known by; None where it is not known yet who will be asked."""
        return self.own_quota or self.provider

    @property
    def tokens(self) -> int:
        """Both directions together."""
        return self.input_tokens + self.output_tokens
