"""What a call costs, in USD, as `Decimal`. None is unknown and never zero.

In this order: what the backend itself reports; the user's prices (`avionics.settings.PriceRow`); for what runs on one's
own hardware an explicit 0; the price list of genai-prices, of the version that is installed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Literal, Self, TypeAlias

from airframe.types import Usage
from avionics.llm.prices import Charges, PriceList, PriceTable, Terms, charges
from avionics.settings import PriceSettings, Settings
from avionics.settings.providers import WELL_KNOWN

__all__ = ["CostCalculator", "CostMetrics", "CostSource", "Pricing", "Terms", "get_cost_calculator"]

CostSource: TypeAlias = Literal["provider", "user", "catalog", "local", "unknown"]
"""Where a cost comes from: the backend's own report, the user's prices, genai-prices, our own hardware, or nowhere."""

LOCAL_KINDS = frozenset({"llama_cpp", "llama_cpp_python", "llama_server", "lm_studio", "mlx", "mock", "ollama"})
"""Kinds of backend that nobody sends a bill for."""

_HIGHEST_COST = Decimal(100_000)
"""Beyond this a number is a fault, not a bill: windows are millions of tokens, prices hundreds of USD a million."""

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostMetrics:
    """The cost of a call in USD.

    The parts are None when only the total is known, all three when nothing is. Searches, requests and hours are in the
    total alone. `price_version` says which prices were used; None when none were.
    """

    cost_usd: Decimal | None
    prompt_cost_usd: Decimal | None = None
    completion_cost_usd: Decimal | None = None
    source: CostSource
    price_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """The rates of a model in USD for a million tokens, and where they come from; None where no rate is known.

    `rates` has the other ones: of sound, searches, hours. `complete` says that there are no more than these.
    """

    model: str
    rates: PriceSettings
    source: CostSource
    price_version: str | None
    complete: bool = True

    @property
    def input_per_million(self) -> Decimal | None:
        """Of the prompt."""
        return self.rates.input_per_million

    @property
    def output_per_million(self) -> Decimal | None:
        """Of the answer."""
        return self.rates.output_per_million

    @property
    def cache_read_per_million(self) -> Decimal | None:
        """Of what comes from the provider's prompt cache."""
        return self.rates.cache_read_per_million

    @property
    def cache_write_per_million(self) -> Decimal | None:
        """Of what goes into it."""
        return self.rates.cache_write_per_million


class CostCalculator:
    """Prices calls. Safe to use from several threads.

    Args:
        table: the user's prices.
        local_providers: names of further providers that cost nothing.
    """

    def __init__(self, table: PriceTable | None = None, *, local_providers: Collection[str] = ()) -> None:
        self._table = table or PriceTable()
        self._list = PriceList()
        self._local_providers = frozenset(local_providers)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """With the prices that the settings state."""
        return cls(PriceTable.from_settings(settings))

    def calculate_cost(
        self,
        provider: str,
        model: str | None,
        prompt_tokens: int | None,
        completion_tokens: int | None,
        *,
        usage: Usage | None = None,
        reported_cost: Decimal | None = None,
        terms: Terms | None = None,
    ) -> CostMetrics:
        """The cost of so many tokens.

        Args:
            provider: by our name or that of genai-prices.
            model: the one that answered.
            prompt_tokens: all of the prompt, what came from a cache included.
            completion_tokens: all of the answer, reasoning included.
            usage: the backend's own count, for what has prices of its own: prompt caches, sound, searches.
            reported_cost: what the backend says the call cost.
            terms: where, when and how it was asked; None is a call to the provider itself, now, at its usual tier.

        Numbers that cannot be true (negative, absurd, more cached than sent) are not priced.
        """
        if reported_cost is not None and _is_credible(reported_cost):
            return CostMetrics(cost_usd=reported_cost, source="provider")
        terms = _with_kind(provider, terms or Terms())
        used = usage or Usage()
        if (used.input_tokens, used.output_tokens) != (prompt_tokens, completion_tokens):
            used = replace(used, input_tokens=prompt_tokens, output_tokens=completion_tokens)
        pricing = self._find(provider, model, terms, prompt_tokens or 0)
        if pricing is not None and pricing.source == "local":
            return CostMetrics(cost_usd=_ZERO, prompt_cost_usd=_ZERO, completion_cost_usd=_ZERO, source="local")
        bill = charges(pricing.rates, used, terms.seconds) if pricing and pricing.complete else None
        if pricing is None or bill is None or not _is_credible(bill.total):
            return CostMetrics(cost_usd=None, source="unknown")
        if pricing.source == "catalog" and _is_free(bill, used):
            return CostMetrics(cost_usd=None, source="unknown")
        return CostMetrics(
            cost_usd=bill.total,
            prompt_cost_usd=bill.prompt,
            completion_cost_usd=bill.completion,
            source=pricing.source,
            price_version=pricing.price_version,
        )

    def estimate_cost(
        self, provider: str, model: str | None, prompt_tokens: int, max_tokens: int, *, terms: Terms | None = None
    ) -> CostMetrics:
        """The most that a call may cost: all of `max_tokens` said, and nothing from a cache."""
        return self.calculate_cost(provider, model, prompt_tokens, max_tokens, terms=terms)

    def get_pricing(self, provider: str, model: str, *, terms: Terms | None = None) -> Pricing | None:
        """The rates of a model for a short prompt; None when they are unknown."""
        return self._find(provider, model, _with_kind(provider, terms or Terms()), 0)

    def tokens_per_dollar(self, provider: str, model: str, *, terms: Terms | None = None) -> Decimal | None:
        """How many tokens of an answer a dollar buys, to compare models by; None when unknown, infinite when free."""
        pricing = self.get_pricing(provider, model, terms=terms)
        if pricing is None or pricing.output_per_million is None:
            return None
        rate = pricing.output_per_million
        return 1_000_000 / rate if rate else Decimal("Infinity")

    def _find(self, provider: str, model: str | None, terms: Terms, prompt_tokens: int) -> Pricing | None:
        rates = self._table.find(provider, model, terms, prompt_tokens=prompt_tokens)
        if rates is not None:
            return Pricing(model=model or "", rates=rates, source="user", price_version=self._table.version)
        if provider in self._local_providers or _is_local(model, terms):
            return Pricing(model=model or "", rates=_FREE, source="local", price_version=None)
        for name, listed_as, under in self._references(provider, model, terms):
            if found := self._list.find(name, listed_as, under, prompt_tokens=prompt_tokens):
                return Pricing(
                    model=found.model,
                    rates=found.rates,
                    source="catalog",
                    price_version=self._list.version,
                    complete=found.complete,
                )
        return None

    def _references(self, provider: str, model: str | None, terms: Terms) -> Iterator[tuple[str, str, Terms]]:
        """Under which names the price list may have a model: as the user says, and by its own."""
        if not model:
            return
        vendor, _, listed_as = self._table.aliases.get(model, "").partition(":")
        if listed_as:
            yield vendor, listed_as, replace(terms, kind=None, server_address=None)
        yield provider, model, terms


@cache
def get_cost_calculator() -> CostCalculator:
    """The calculator of this process, for those who need no other. It knows no prices of the user's."""
    return CostCalculator()


_FREE = PriceSettings(input_per_million=_ZERO, output_per_million=_ZERO)


def _with_kind(provider: str, terms: Terms) -> Terms:
    """A scripted backend stands for the one whose name it bears."""
    return replace(terms, kind=WELL_KNOWN.get(provider)) if terms.kind in {None, "mock"} else terms


def _is_local(model: str | None, terms: Terms) -> bool:
    """Ollama serves models of its cloud, too, by name or by host; what these cost nobody says by the token."""
    in_cloud = terms.kind == "ollama" and (
        (model or "").endswith("cloud") or (terms.server_address or "").endswith("ollama.com")
    )
    return terms.kind in LOCAL_KINDS and not in_cloud


def _is_credible(cost: Decimal) -> bool:
    return cost.is_finite() and 0 <= cost <= _HIGHEST_COST


def _is_free(bill: Charges, usage: Usage) -> bool:
    """The list has a 0 where it knows no better; it is credible for no tokens only."""
    return not bill.total and bool(usage.input_tokens or usage.output_tokens)
