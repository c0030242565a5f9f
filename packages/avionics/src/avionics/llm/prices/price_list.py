"""The price list: genai-prices' data, of the version that is installed. Nothing is downloaded.

The snapshot is our own: `genai_prices.UpdatePrices`, which somebody else in the process may use, does not change it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from avionics.llm.prices.terms import Terms
from avionics.settings import PriceSettings

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

__all__ = ["ListedPrice", "PriceList"]

_VENDORS = frozenset({"anthropic", "azure", "openai", "openrouter"})
"""Kinds of backend that are a vendor's own, by the names that both lists have for them."""

_RATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input_mtok": "input_per_million",
        "output_mtok": "output_per_million",
        "cache_read_mtok": "cache_read_per_million",
        "cache_write_mtok": "cache_write_per_million",
        "cache_write_1h_mtok": "cache_write_1h_per_million",
        "input_audio_mtok": "input_audio_per_million",
        "output_audio_mtok": "output_audio_per_million",
        "output_reasoning_mtok": "reasoning_per_million",
        "web_searches_kcount": "web_search_per_thousand",
        "requests_kcount": "request_per_thousand",
    }
)
"""The list's units, and ours."""

_BESIDE = frozenset({"cache_audio_read_mtok", "cache_image_read_mtok", "storage_searches_kcount"})
"""Units that come on top of others, or are asked for by name."""

_REMEMBERED = 1024
"""Models whose place in the list is remembered, also that they have none. Looking for one goes through all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPrice:
    """The rates of a model under some terms. `model` and `provider` are the list's names.

    `complete` says that there are no others, for units that nobody counts here, such as images.
    """

    provider: str
    model: str
    rates: PriceSettings
    complete: bool


class PriceList:
    """Finds prices. Loading it takes a while and some memory, so the first question does that."""

    def __init__(self) -> None:
        self._entry = lru_cache(_REMEMBERED)(self._find_entry)
        self._sheets: dict[int, _RateSheet] = {}

    @property
    def version(self) -> str:
        """Which list it is, such as `genai-prices 0.2.3`."""
        return _version()

    @cached_property
    def _snapshot(self) -> DataSnapshot:
        from genai_prices.data import providers  # 0.1 s and 10 MB, for those who ask for a price
        from genai_prices.data_snapshot import DataSnapshot

        return DataSnapshot(providers=list(providers), from_auto_update=False)

    def find(self, provider: str, model: str, terms: Terms, *, prompt_tokens: int = 0) -> ListedPrice | None:
        """The price of a model for a prompt of so many tokens.

        None when the list does not have it: not the vendor, not the model, or not the tier.
        """
        entry = self._entry(provider, model, terms.kind, terms.server_address)
        if entry is None:
            return None
        vendor, listed = entry
        at = terms.at or datetime.now(UTC)
        if not _has_tier(listed, vendor, terms.tier, at):
            return None
        sheet = self._sheet(listed.get_prices(at)) if terms.tier is None else _tier_sheet(listed, terms.tier, at)
        return ListedPrice(
            provider=vendor.id, model=listed.id, rates=sheet.rates(prompt_tokens), complete=sheet.complete
        )

    def _find_entry(
        self, provider: str, model: str, kind: str | None, server_address: str | None
    ) -> tuple[Provider, ModelInfo] | None:
        """Who sends the bill, and their model, or that of whose models they serve; None when one is not listed."""
        try:
            vendor = self._vendor(provider, kind, server_address)
            _, listed = self._snapshot.find_provider_model(model, vendor, None, None)
        except LookupError:
            return None
        return vendor, listed

    def _vendor(self, provider: str, kind: str | None, server_address: str | None) -> Provider:
        """Who sends the bill: whose host it is, else whose API, else whose name. Raises `LookupError`."""
        find = self._snapshot.find_provider
        if server_address:
            try:
                return find(None, None, f"https://{server_address}")
            except LookupError:
                pass  # a proxy of one's own, or somebody who is not in the list
        if kind is not None and kind not in _VENDORS:
            raise LookupError(provider)
        return find(None, kind or provider, None)

    def _sheet(self, price: ModelPrice) -> _RateSheet:
        """Made once for each of the list's own prices, which live as long as it does."""
        sheet = self._sheets.get(id(price))
        if sheet is None:
            sheet = self._sheets[id(price)] = _RateSheet(price)
        return sheet


class _RateSheet:
    """One price of the list in our words. `complete` as in `ListedPrice`."""

    def __init__(self, price: ModelPrice) -> None:
        units = _rated(price)
        self.complete = units.keys() <= _RATES.keys()
        self._units = {_RATES[unit]: rate for unit, rate in units.items() if unit in _RATES}
        tiers = [rate.tiers for rate in self._units.values() if not isinstance(rate, Decimal)]
        self._steps = sorted({tier.start for own in tiers for tier in own})
        """The lengths of prompt beyond which another rate holds."""
        self._rates: dict[int, PriceSettings] = {}

    def rates(self, prompt_tokens: int) -> PriceSettings:
        """Those for a prompt of so many tokens."""
        step = bisect_left(self._steps, prompt_tokens)
        rates = self._rates.get(step)
        if rates is None:
            stated = {name: _for_prompt(rate, prompt_tokens) for name, rate in self._units.items()}
            rates = self._rates[step] = PriceSettings.model_validate(stated)
        return rates


def _tier_sheet(model: ModelInfo, tier: str, at: datetime) -> _RateSheet:
    return _RateSheet(model.get_prices(at, _context(tier)))


def _context(tier: str) -> Mapping[str, str]:
    """How the list names a tier: by the vendor's word, as a way of processing, or as a speed."""
    return {"service_tier": tier, "processing": tier, "speed": tier}


def _has_tier(model: ModelInfo, vendor: Provider, tier: str | None, at: datetime) -> bool:
    """Whether the list knows what the tier cost then. It would answer with the usual price otherwise."""
    if tier is None:
        return True
    if not any(model is own for own in vendor.models):  # another vendor's model: prices of tiers are not taken over
        return False
    context = _context(tier)
    return any(
        all(context.get(name) == value for name, value in variant.when.items())
        for variant in model.price_variants or ()
        if variant.constraint is None or variant.constraint.active(at)
    )


def _rated(price: ModelPrice) -> Mapping[str, Decimal | TieredPrices]:
    return {unit: rate for unit, rate in vars(price).items() if rate is not None and unit not in _BESIDE}


def _for_prompt(rate: Decimal | TieredPrices, prompt_tokens: int) -> Decimal:
    """The rate that holds for all tokens of a prompt of this length."""
    if isinstance(rate, Decimal):
        return rate
    return next((tier.price for tier in reversed(rate.tiers) if prompt_tokens > tier.start), rate.base)


@cache
def _version() -> str:
    import genai_prices

    return f"genai-prices {genai_prices.__version__}"
