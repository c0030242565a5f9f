"""What logged calls would have cost with another model, or at other prices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby

from avionics.calls.cost_again import cost_again
from avionics.calls.logged import LoggedAttempt
from avionics.llm.cost_calculator import CostCalculator, Terms

__all__ = ["Alternative", "WhatIf", "WhatIfGroup", "what_if"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another model, and who serves it. `kind` is the kind of backend, where the provider's name does not tell it."""

    provider: str
    model: str
    kind: str | None = None

    def terms(self, seconds: float | None = None) -> Terms:
        """Those of today, for an attempt that takes so long."""
        return Terms(kind=self.kind, seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfGroup:
    """The calls that one provider answered with one model, or was the last to fail with.

    `logged_usd` and `alternative_usd` are sums over the same calls: those whose cost is known either way. Of the others
    `unlogged` have no known cost as they were, `unpriced` none as they would be, and `unused` used no known token.
    """

    provider: str
    model: str | None
    calls: int = 0
    compared: int = 0
    logged_usd: Decimal = Decimal(0)
    alternative_usd: Decimal = Decimal(0)
    unlogged: int = 0
    unpriced: int = 0
    unused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The groups, the dearest first, and their sum."""

    groups: Sequence[WhatIfGroup]
    total: WhatIfGroup


def what_if(
    attempts: Iterable[LoggedAttempt], prices: CostCalculator, alternative: Alternative | None = None
) -> WhatIf:
    """Prices calls anew; `attempts` are those of whole calls, call by call.

    With an `alternative` each call is one attempt: it has the tokens of the last attempt that used any, and the price
    of today. Without one every attempt is as it was, at its own time, and only `prices` are others.
    """
    groups: dict[tuple[str, str | None], WhatIfGroup] = {}
    total = WhatIfGroup(provider="", model=None)
    for _, group in groupby(attempts, key=lambda one: one.call_id):
        made = list(group)
        used = [one for one in made if one.usage_source != "unknown"]
        call = _compared(made[-1], made, _costs(used, prices, alternative))
        key = (call.provider, call.model)
        groups[key] = _sum(groups.get(key, WhatIfGroup(provider=call.provider, model=call.model)), call)
        total = _sum(total, call)
    return WhatIf(groups=sorted(groups.values(), key=lambda one: -one.logged_usd), total=total)


def _costs(
    used: Sequence[LoggedAttempt], prices: CostCalculator, alternative: Alternative | None
) -> Sequence[Decimal | None]:
    """What each attempt would cost; None where nobody knows."""
    if alternative is None:
        return [cost_again(prices, one).cost_usd for one in used]
    return [_alternative_cost(one, prices, alternative) for one in used[-1:]]


def _alternative_cost(one: LoggedAttempt, prices: CostCalculator, other: Alternative) -> Decimal | None:
    usage, terms = one.usage, other.terms(one.duration)
    return prices.calculate_cost(
        other.provider, other.model, usage.input_tokens, usage.output_tokens, usage=usage, terms=terms
    ).cost_usd


def _compared(last: LoggedAttempt, made: Sequence[LoggedAttempt], costs: Sequence[Decimal | None]) -> WhatIfGroup:
    """One call as a group."""
    call = WhatIfGroup(provider=last.provider, model=last.model, calls=1)
    if not costs:
        return replace(call, unused=1)
    if any(one.unpriced for one in made):
        return replace(call, unlogged=1)
    if any(cost is None for cost in costs):
        return replace(call, unpriced=1)
    logged = sum((one.cost_usd for one in made if one.cost_usd is not None), Decimal(0))
    return replace(
        call,
        compared=1,
        logged_usd=logged,
        alternative_usd=sum((cost for cost in costs if cost is not None), Decimal(0)),
    )


def _sum(one: WhatIfGroup, other: WhatIfGroup) -> WhatIfGroup:
    return replace(
        one,
        calls=one.calls + other.calls,
        compared=one.compared + other.compared,
        logged_usd=one.logged_usd + other.logged_usd,
        alternative_usd=one.alternative_usd + other.alternative_usd,
        unlogged=one.unlogged + other.unlogged,
        unpriced=one.unpriced + other.unpriced,
        unused=one.unused + other.unused,
    )
