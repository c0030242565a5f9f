"""What so many tokens cost at given rates: the arithmetic, and nothing else. Exact, in Decimals.

Rates may come from a price list or from the user. Of the prompt, what was read from a cache, written to one, or was
sound is taken out of the whole and charged at its own rate; of the answer, reasoning and sound. A part without a rate
of its own stays in the whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from airframe.types import Usage
from avionics.settings import PriceSettings

__all__ = ["Charges", "charges"]

_MILLION, _THOUSAND = Decimal(1_000_000), Decimal(1_000)
_HOUR = Decimal(3_600)
_MOST = 1_000_000_000
"""Beyond so many tokens a count is a fault: windows are millions of tokens at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """In USD. `other` is what is not for tokens: searches, requests, hours."""

    prompt: Decimal
    completion: Decimal
    other: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """All of it."""
        return self.prompt + self.completion + self.other


def charges(rates: PriceSettings, usage: Usage, seconds: float | None = None) -> Charges | None:
    """What `usage` costs; None when a rate or a count that is needed is unknown, or the counts contradict each other.

    `seconds` is how long it took.
    """
    hours = _hours(rates, seconds)
    included = Decimal(0) if rates.gpu_hour is not None else None
    prompt = _tokens(
        usage.input_tokens,
        included if rates.input_per_million is None else rates.input_per_million,
        (
            (usage.cache_read_tokens, rates.cache_read_per_million),
            *_cache_writes(rates, usage),
            (usage.input_audio_tokens, rates.input_audio_per_million),
        ),
    )
    completion = _tokens(
        usage.output_tokens,
        included if rates.output_per_million is None else rates.output_per_million,
        (
            (usage.reasoning_tokens, rates.reasoning_per_million),
            (usage.output_audio_tokens, rates.output_audio_per_million),
        ),
    )
    if usage.input_audio_tokens and rates.input_audio_per_million and _is_cached(rates, usage):
        return None  # nobody says how much of the sound came from the cache
    searches = _times(usage.web_searches, rates.web_search_per_thousand)
    if prompt is None or completion is None or searches is None or hours is None:
        return None
    request = (rates.request_per_thousand or 0) / _THOUSAND
    return Charges(prompt=prompt, completion=completion, other=searches + request + hours)


def _tokens(
    whole: int | None, rate: Decimal | None, parts: Iterable[tuple[int | None, Decimal | None]]
) -> Decimal | None:
    """The whole at its rate, without the parts that have rates of their own."""
    if whole is None or not 0 <= whole <= _MOST:
        return None
    total, rest = Decimal(0), whole
    for tokens, own in parts:
        if tokens and own is not None and own != rate:
            total += tokens * own
            rest -= tokens
            if tokens < 0 or rest < 0:
                return None
    if rest and rate is None:
        return None
    return (total + rest * (rate or 0)) / _MILLION


def _cache_writes(rates: PriceSettings, usage: Usage) -> Iterable[tuple[int | None, Decimal | None]]:
    """Those that last for minutes, and those that last for an hour."""
    hourly = usage.cache_write_1h_tokens or 0
    shortly, longer = rates.cache_write_per_million, rates.cache_write_1h_per_million
    yield (usage.cache_write_tokens or 0) - hourly, shortly
    yield hourly, shortly if longer is None else longer


def _is_cached(rates: PriceSettings, usage: Usage) -> bool:
    read = usage.cache_read_tokens and rates.cache_read_per_million is not None
    written = usage.cache_write_tokens and rates.cache_write_per_million is not None
    return bool(read or written)


def _times(count: int | None, per_thousand: Decimal | None) -> Decimal | None:
    if not count:
        return Decimal(0)
    return None if per_thousand is None or count < 0 else count * per_thousand / _THOUSAND


def _hours(rates: PriceSettings, seconds: float | None) -> Decimal | None:
    """The share of the hardware's time; 0 where it is not paid for by time."""
    if rates.gpu_hour is None:
        return Decimal(0)
    if seconds is None or seconds < 0:
        return None
    return Decimal(repr(seconds)) / _HOUR * rates.gpu_hour * rates.gpus / rates.concurrency
