"""`avionics whatif`: logged calls at the price of another model, or of another price table."""

from __future__ import annotations

import json
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

from rich.table import Table
from rich.text import Text

from avionics.calls.history import CallFilter, CallHistory
from avionics.calls.whatif import Alternative, WhatIf, WhatIfGroup, what_if
from avionics.cli.console import output_console
from avionics.cli.figures import rounded_money
from avionics.errors import ConfigurationError
from avionics.llm.catalog import ModelRegistry, parse_model_id
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.prices.price_table import PriceTable
from avionics.settings import Settings

__all__ = ["show_what_if"]


def show_what_if(
    settings: Settings,
    which: CallFilter,
    *,
    model: str | None,
    provider: str | None = None,
    prices: Path | None = None,
    as_json: bool = False,
) -> None:
    """Print the comparison and what it assumes. Raises `ConfigurationError`."""
    if model is None and provider is not None:
        raise ConfigurationError("--provider says who serves the other model; say --model, too")
    if model is None and prices is None:
        raise ConfigurationError("say what would be otherwise: --model NAME, --prices FILE, or both")
    calculator = CostCalculator(PriceTable.read(prices)) if prices else CostCalculator.from_settings(settings)
    alternative = None if model is None else _alternative(model, provider, calculator, settings)
    with CallHistory(settings) as history:
        found = what_if(history.attempts(which), calculator, alternative)
    assumptions = _assumptions(alternative, prices, found.total)
    if as_json:
        print(json.dumps(_as_json(found, alternative, assumptions)))
    else:
        _print(found, assumptions)


def _alternative(model: str, provider: str | None, prices: CostCalculator, settings: Settings) -> Alternative:
    named = parse_model_id(model)
    spec = ModelRegistry.from_settings(settings).find(model, provider=provider)
    served_by = provider or named.provider or named.runtime or (spec.provider if spec else None)
    if served_by is None:
        raise ConfigurationError(f"--model: it is not known who serves {model!r}; say --provider, too")
    alternative = Alternative(provider=served_by, model=named.name, kind=named.runtime)
    priced = prices.calculate_cost(served_by, named.name, 1, 1, terms=alternative.terms())
    if priced.cost_usd is None:
        raise ConfigurationError(
            f"--model: no price is known for {named.name!r} of {served_by!r}; state one under 'prices' in the "
            "settings, or in a file for --prices"
        )
    return alternative


def _assumptions(alternative: Alternative | None, prices: Path | None, total: WhatIfGroup) -> list[str]:
    table = (
        f"the prices in {prices}, and the list where it has none"
        if prices
        else "the prices of the settings and the list"
    )
    if alternative is None:
        said = [
            f"Every attempt is priced anew, at {table}, as of its own time.",
            "All else is as it was: the tokens, the retries, the fallbacks.",
        ]
    else:
        said = [
            f"{alternative.model} of {alternative.provider} answers every call, at {table}, as of today.",
            "It takes as many tokens, of which as many come from a cache; tokenizers differ, and so would answers.",
            "It takes one attempt for a call; what failed attempts cost is not in its sum.",
            "Whether its answers would be as good is unknown.",
        ]
    left_out = {
        "have no known cost as they were": total.unlogged,
        "have no known price now": total.unpriced,
        "used no known token": total.unused,
    }
    return said + [f"{count:,} calls {why} and are left out." for why, count in left_out.items() if count]


def _print(found: WhatIf, assumptions: list[str]) -> None:
    console = output_console()
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("as logged")
    for name in ("calls", "compared", "cost", "would be", "difference"):
        table.add_column(name, justify="right")
    for group in found.groups:
        table.add_row(*_cells(" ".join(word for word in (group.provider, group.model) if word), group))
    table.add_section()
    table.add_row(*_cells("total", found.total), style="bold")
    console.print(table)
    for assumption in assumptions:
        console.print(Text(assumption, "dim"))


def _cells(name: str, group: WhatIfGroup) -> list[Text]:
    difference = group.alternative_usd - group.logged_usd
    share = f" ({difference / group.logged_usd:+.0%})" if group.logged_usd else ""
    return [
        Text(name),
        Text(f"{group.calls:,}"),
        Text(f"{group.compared:,}"),
        Text(rounded_money(group.logged_usd)),
        Text(rounded_money(group.alternative_usd)),
        Text(rounded_money(difference) + share, "red" if difference > 0 else "green"),
    ]


def _as_json(found: WhatIf, alternative: Alternative | None, assumptions: list[str]) -> dict[str, object]:
    """Scripts may rely on it: money is a text, so that no digit is lost."""
    return {
        "alternative": asdict(alternative) if alternative else None,
        "assumptions": assumptions,
        "groups": [_group_as_json(group) for group in found.groups],
        "total": _group_as_json(found.total),
    }


def _group_as_json(group: WhatIfGroup) -> dict[str, object]:
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in asdict(group).items()}
