"""The limits of the settings, and what each wants of a demand. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Literal, TypeAlias
from urllib.parse import quote

from avionics.errors import ConfigurationError
from avionics.llm.limits.claims import BudgetClaim, Claim, RateClaim, SlotClaim
from avionics.llm.limits.demand import Demand
from avionics.llm.limits.microseconds import microseconds
from avionics.llm.limits.periods import Period, period_of, zone
from avionics.settings.calls import LimitsSettings
from avionics.settings.limits import BudgetSettings, RateSettings

__all__ = ["Entry", "Rule", "Unit", "entries_for", "nano_of", "rules_of"]

Unit: TypeAlias = Literal["requests", "tokens", "slots", "usd"]
"""What a rule counts. Slots are calls under way."""

_EACH = "*"
_NANO = Decimal(10) ** 9
_GRACE = timedelta(days=1)  # a budget is remembered for longer, for calls that end late and clocks that differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One limit: so many units, for those whom `scope` names, as (field, name).

    `place` is where it stands in the settings, `words` what it says. `amount` is in units; USD are nano-USD.
    """

    place: str
    words: str
    unit: Unit
    amount: int
    scope: tuple[tuple[str, str], ...]
    rate: RateSettings | None = None
    budget: BudgetSettings | None = None

    @property
    def is_of_exchanges(self) -> bool:
        """Whether it counts exchanges with backends, rather than calls whoever is asked."""
        return any(field in {"provider", "model"} for field, _ in self.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A rule that counts a demand: for whom it counts it, and what it claims. `ends_at` is when a budget is renewed."""

    rule: Rule
    subject: str
    claim: Claim
    ends_at: datetime | None = None


def rules_of(settings: LimitsSettings) -> Sequence[Rule]:
    """The rules, one for each unit that an entry of the settings limits.

    Raises `ConfigurationError` when two of them limit the same.
    """
    rules = [
        *(rule for place, rate in enumerate(settings.rates) for rule in _rules_of_rate(f"limits.rates.{place}", rate)),
        *(
            rule
            for place, budget in enumerate(settings.budgets)
            for rule in _rules_of_budget(f"limits.budgets.{place}", budget)
        ),
    ]
    first: dict[tuple[object, ...], Rule] = {}
    for rule in rules:
        per = (rule.budget.per, rule.budget.timezone) if rule.budget else ()
        same = first.setdefault((rule.unit, rule.scope, *per), rule)
        if same is not rule:
            raise ConfigurationError(f"{rule.place}: limits the same as {same.place}; leave out one of them")
    return rules


def entries_for(
    rules: Sequence[Rule], demand: Demand, moment: float, *, counted: Collection[Rule] = ()
) -> Sequence[Entry]:
    """What the rules claim for a demand at a moment of Unix time; those in `counted` have counted it already."""
    return [
        entry
        for rule in rules
        if not (rule.is_of_exchanges and demand.provider is None) and rule not in counted
        if (entry := _entry(rule, demand, moment))
    ]


def nano_of(amount: Decimal) -> int:
    """Nano-USD; a part of one counts whole."""
    return -int((-amount * _NANO).to_integral_value(ROUND_FLOOR))


def _rules_of_rate(place: str, rate: RateSettings) -> Iterator[Rule]:
    amounts: tuple[tuple[Unit, int | None, str], ...] = (
        ("requests", rate.requests_per_minute, "requests per minute"),
        ("tokens", rate.tokens_per_minute, "tokens per minute"),
        ("slots", rate.concurrency, "at a time"),
    )
    for unit, amount, words in amounts:
        if amount is not None:
            yield Rule(place=place, words=f"{amount} {words}", unit=unit, amount=amount, scope=rate.stated, rate=rate)


def _rules_of_budget(place: str, budget: BudgetSettings) -> Iterator[Rule]:
    per = "in total" if budget.per == "total" else f"per {budget.per}"
    if budget.usd is not None:
        amount = int((budget.usd * _NANO).to_integral_value(ROUND_FLOOR))
        words = f"{budget.usd} USD {per}"
        yield Rule(place=place, words=words, unit="usd", amount=amount, scope=budget.stated, budget=budget)
    if budget.tokens is not None:
        words = f"{budget.tokens} tokens {per}"
        yield Rule(place=place, words=words, unit="tokens", amount=budget.tokens, scope=budget.stated, budget=budget)


def _entry(rule: Rule, demand: Demand, moment: float) -> Entry | None:
    subject = _subject(rule.scope, demand)
    if subject is None:
        return None
    if rule.budget is None:
        return Entry(rule=rule, subject=_words(subject), claim=_rate_claim(rule, _key(rule, subject), demand))
    period = period_of(rule.budget.per, moment, zone(rule.budget.timezone))
    claim = BudgetClaim(
        key=f"{_key(rule, subject)}:{period.name}",
        amount=_amount(rule.unit, demand),
        budget=rule.amount,
        ends_at=_forgotten_at(period),
    )
    return Entry(rule=rule, subject=_words(subject), claim=claim, ends_at=period.ends_at)


def _rate_claim(rule: Rule, key: str, demand: Demand) -> Claim:
    if rule.unit == "slots":
        return SlotClaim(key=key, slots=rule.amount)
    burst = rule.rate.burst if rule.rate else 1.0
    capacity = max(1, int(rule.amount * burst))
    return RateClaim(key=key, amount=_amount(rule.unit, demand), per_minute=rule.amount, capacity=capacity)


def _subject(scope: Sequence[tuple[str, str]], demand: Demand) -> Sequence[tuple[str, str | None]] | None:
    """Whose calls are counted together, as (field, name); None when the rule does not count the demand.

    Where each name is counted by itself, those without one are together.
    """
    subject: list[tuple[str, str | None]] = []
    for field, stated in scope:
        name: str | None = getattr(demand, field)
        if stated not in {_EACH, name}:
            return None
        subject.append((field, name))
    return subject


def _key(rule: Rule, subject: Sequence[tuple[str, str | None]]) -> str:
    each = {field for field, stated in rule.scope if stated == _EACH}
    who = ";".join(
        f"{field}{'*' if field in each else ''}" + ("" if name is None else f"={quote(name, safe='')}")
        for field, name in subject
    )
    per = f"{rule.budget.per}@{rule.budget.timezone}" if rule.budget else "rate"
    return f"{rule.unit}:{per}:{who}"


def _words(subject: Sequence[tuple[str, str | None]]) -> str:
    return ", ".join(f"no {field}" if name is None else f"{field} {name}" for field, name in subject)


def _amount(unit: Unit, demand: Demand) -> int:
    match unit:
        case "tokens":
            return demand.tokens
        case "usd":
            return 0 if demand.cost_usd is None else nano_of(demand.cost_usd)
        case _:
            return 1


def _forgotten_at(period: Period) -> int | None:
    return None if period.ends_at is None else microseconds((period.ends_at + _GRACE).timestamp())
