"""The user's own prices: rows of the settings, or of a file of their own."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from avionics.config_file import read_config_file
from avionics.errors import ConfigurationError
from avionics.llm.catalog.model_id import PROVIDERS, parse_model_id
from avionics.llm.prices.terms import Terms
from avionics.settings import PriceRow, PriceSettings, Settings
from avionics.settings.layers import Layer
from avionics.settings.section import Section

__all__ = ["PriceTable"]

_CONDITIONS = PriceRow.model_fields.keys() - PriceSettings.model_fields.keys()
_ROWS = TypeAdapter(tuple[PriceRow, ...])
_REMEMBERED = 1024
"""Models, at so many providers, tiers and lengths of prompt, whose rates are remembered."""


class _PriceFile(Section, frozen=True):
    prices: tuple[PriceRow, ...]


class PriceTable:
    """Rows, and which of them hold.

    Args:
        rows: as `avionics.settings.PriceRow` describes them.
        aliases: `provider:model` in the words of the price list, for names that it does not know.
    """

    def __init__(self, rows: Iterable[PriceRow] = (), *, aliases: Mapping[str, str] | None = None) -> None:
        self.rows = tuple(rows)
        self.aliases = dict(aliases or {})
        self._days = sorted({row.since for row in self.rows if row.since is not None})
        self._lengths = sorted({row.above for row in self.rows if row.above is not None})
        self._rates = lru_cache(_REMEMBERED)(self._find_rates)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The rows of `prices`, and those of the entries of `models`, which stand for one model each."""
        rows: list[PriceRow] = list(settings.prices)
        aliases: dict[str, str] = {}
        for name, entry in settings.models.items():
            served = parse_model_id(entry.id or name, PROVIDERS | settings.providers.keys())
            if entry.price is not None:
                rates = entry.price.model_dump(exclude_unset=True)
                rows.append(PriceRow(provider=served.provider or served.runtime, model=served.name, **rates))
            if entry.spec.priced_as is not None:
                aliases[served.name] = entry.spec.priced_as
        return cls(rows, aliases=aliases)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The rows under `prices` in a YAML or TOML file. Raises `ConfigurationError` that names the file."""
        file = read_config_file(path)
        layer = Layer(
            file.values, lambda place: f"{path}, line {file.lines[place]}" if place in file.lines else f"{path}"
        )
        if "prices" not in file.values:
            raise ConfigurationError(f"{path}: there are no prices; put a list of rows under 'prices:'")
        try:
            return cls(_PriceFile.model_validate({"prices": file.values["prices"]}).prices)
        except ValidationError as error:
            from avionics.settings.explanation import explained  # only for mistakes

            raise ConfigurationError(explained(error, _PriceFile, (layer,))) from None

    @cached_property
    def version(self) -> str:
        """Changes when a row does, such as `user 3f2a91bc`."""
        text = _ROWS.dump_json(self.rows, exclude_defaults=True)
        return f"user {hashlib.sha256(text).hexdigest()[:8]}"

    def find(self, provider: str, model: str | None, terms: Terms, *, prompt_tokens: int = 0) -> PriceSettings | None:
        """The rates that hold for a prompt of so many tokens; None when no row does."""
        if not self.rows:
            return None
        day = (terms.at or datetime.now(UTC)).astimezone(UTC).date()
        # All days from one that a row names to the next are alike, and so are all prompts.
        past = bisect_right(self._days, day)
        exceeded = bisect_left(self._lengths, prompt_tokens)
        return self._rates(
            frozenset({provider, terms.kind}),
            model,
            terms.service_tier,
            self._days[past - 1] if past else date.min,
            self._lengths[exceeded - 1] if exceeded else -1,
        )

    def _find_rates(
        self, names: frozenset[str | None], model: str | None, service_tier: str | None, day: date, exceeded: int
    ) -> PriceSettings | None:
        """`names` are those of the provider and its kind; `exceeded` is the greatest length that the prompt exceeds."""
        holding = [
            row
            for row in self.rows
            if row.provider is None or row.provider in names
            if _fits(row.model, model)
            if row.since is None or row.since <= day
            if row.service_tier is None or row.service_tier == service_tier
            if row.above is None or row.above <= exceeded
        ]
        if not holding:
            return None
        closest = max(map(_closeness, holding))
        rates: dict[str, object] = {}
        for row in holding:
            if _closeness(row) == closest:
                rates |= row.model_dump(exclude_unset=True, exclude=set(_CONDITIONS))
        return PriceSettings.model_validate(rates)


def _fits(pattern: str, model: str | None) -> bool:
    if pattern.endswith("*"):
        return (model or "").lower().startswith(pattern[:-1].lower())
    return model is not None and pattern.lower() == model.lower()


def _closeness(row: PriceRow) -> tuple[bool, bool, int]:
    return row.provider is not None, not row.model.endswith("*"), len(row.model)
