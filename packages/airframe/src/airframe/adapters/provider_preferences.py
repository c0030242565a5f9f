"""Whom OpenRouter may ask. Apart from its adapter, for those who only describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

__all__ = ["ProviderPreferences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPreferences:
    """Which providers may answer, in OpenRouter's words; None leaves it to OpenRouter.

    Attributes:
        order: providers to try, in this order.
        only: no others than these.
        ignore: none of these.
        allow_fallbacks: whether others may follow those of `order`.
        require_parameters: only providers that know every field of the request; others ignore some silently.
        data_collection: `deny` leaves out providers that may keep what is sent.
        zdr: only providers that keep nothing at all.
        sort: `price`, `throughput` or `latency`.
        quantizations: for models with open weights, the ones to accept, such as `fp8`.
        max_price: the highest price in USD, by `prompt` and `completion` (a million tokens each), `request`, `image`.
    """

    order: Sequence[str] | None = None
    only: Sequence[str] | None = None
    ignore: Sequence[str] | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    sort: Literal["price", "throughput", "latency"] | None = None
    quantizations: Sequence[str] | None = None
    max_price: Mapping[str, float] | None = None

    def wire(self) -> Mapping[str, object]:
        """What is stated, as the body's `provider`."""
        stated = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in stated.items() if value is not None}
