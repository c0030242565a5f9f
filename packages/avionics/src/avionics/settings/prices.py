"""What calls cost, where the user knows it better than the price list."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from avionics.settings.section import Count, Name, Section

__all__ = ["PriceRow", "PriceSettings"]

Money = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class PriceSettings(Section, frozen=True):
    """Rates in USD.

    Tokens of the prompt or the answer at a rate that is not stated are unknown, not free. A part of them whose rate is
    not stated, such as what came from a cache, costs what the rest does.
    """

    input_per_million: Money | None = None
    """A million tokens of the prompt."""
    output_per_million: Money | None = None
    """A million tokens of the answer, reasoning included."""
    cache_read_per_million: Money | None = None
    """Of the prompt, what the provider had in its prompt cache."""
    cache_write_per_million: Money | None = None
    """Of the prompt, what the provider put into its prompt cache."""
    cache_write_1h_per_million: Money | None = None
    """Of that, what it keeps for an hour."""
    input_audio_per_million: Money | None = None
    """Of the prompt, sound."""
    output_audio_per_million: Money | None = None
    """Of the answer, sound."""
    reasoning_per_million: Money | None = None
    """Of the answer, reasoning."""
    web_search_per_thousand: Money | None = None
    """A thousand searches of the web by the provider."""
    request_per_thousand: Money | None = None
    """A thousand requests, whatever is in them."""
    gpu_hour: Money | None = None
    """An hour of one GPU of one's own, or hired. Tokens at no rate of their own are in it."""
    gpus: Count = 1
    """How many of them work on an answer."""
    concurrency: Count = 1
    """On how many answers they work at a time, so that each pays its share."""


class PriceRow(PriceSettings, frozen=True):
    """Rates, and for whom and when they hold.

    Of the rows that hold, those for the named provider win over those for any; then those for the model's very name
    over those for its beginning, a longer one over a shorter. Rows for the same are laid over each other, the later
    ones on top: so the rates of a tier, of long prompts or from a day on need to state only what is different.
    """

    provider: Name | None = None
    """The provider's name or kind; None is any."""
    model: Name = "*"
    """The model's name, or the beginning of it with a * behind."""
    since: date | None = None
    """The first day, in UTC."""
    service_tier: Name | None = None
    """The tier, in the backend's word; `batch` for what is asked in a batch."""
    above: Annotated[int | None, Field(ge=0)] = None
    """Prompts of more tokens than this."""
