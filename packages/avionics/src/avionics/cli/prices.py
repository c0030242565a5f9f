"""`avionics prices`: what the configured models cost, and what logged calls cost at other prices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from avionics.calls.history import CallFilter, CallHistory
from avionics.calls.price_changes import PriceChange, price_changes
from avionics.cli.console import mark, output_console
from avionics.cli.figures import money, rounded_money
from avionics.cli.points_in_time import point_in_time
from avionics.llm.catalog.model_id import PROVIDERS, parse_model_id
from avionics.llm.cost_calculator import CostCalculator, Pricing
from avionics.llm.prices import PriceTable, Terms
from avionics.settings import PriceRow, Settings

__all__ = ["check_prices", "reprice"]

_SHARES = {"gpus", "concurrency"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployment:
    """A model that the settings name, and who is asked for it."""

    provider: str
    model: str | None
    terms: Terms


def check_prices(settings: Settings, file: Path | None, *, as_json: bool = False) -> bool:
    """Print the price of every model that the settings name; returns whether all are known.

    Rows of the user's that hold for none of them are named, too. Raises `ConfigurationError`.
    """
    table = _table(settings, file)
    prices, listed = CostCalculator(table), CostCalculator()
    found = [
        (deployment, _pricing(prices, deployment), _pricing(listed, deployment)) for deployment in _named(settings)
    ]
    idle = _idle_rows(table.rows, [deployment for deployment, *_ in found])
    if as_json:
        print(json.dumps([_as_json(deployment, pricing) for deployment, pricing, _ in found]))
    else:
        _print_prices(found)
        _print_idle(idle)
    return all(pricing for _, pricing, _ in found)


def reprice(
    settings: Settings, file: Path | None, since: str | None, until: str | None, *, dry_run: bool, as_json: bool = False
) -> None:
    """Reckon the costs of logged calls anew, and write them down. Raises `ConfigurationError`."""
    which = CallFilter(since_ns=point_in_time(since, "--since"), until_ns=point_in_time(until, "--until"))
    prices = CostCalculator(_table(settings, file))
    with CallHistory(settings) as history:
        changes = list(price_changes(prices, history.attempts(which)))
        if not dry_run:
            history.reprice(change.figure for change in changes)
    if as_json:
        print(json.dumps([_change_as_json(change) for change in changes]))
    else:
        _print_changes(changes, dry_run=dry_run)


def _table(settings: Settings, file: Path | None) -> PriceTable:
    return PriceTable.from_settings(settings) if file is None else PriceTable.read(file)


def _named(settings: Settings) -> Iterator[_Deployment]:
    """Every model that a provider, an agent or an entry of `models` names; a provider without one for itself."""
    agents = [settings.agent(), *map(settings.agent, settings.agents)]
    known = PROVIDERS | settings.providers.keys()
    entries = [parse_model_id(entry.id or name, known) for name, entry in settings.models.items()]
    for name in dict.fromkeys([*settings.providers, *(agent.provider for agent in agents if agent.provider)]):
        described = settings.provider(name)
        terms = Terms(kind=described.kind, server_address=urlsplit(described.base_url or "").hostname)
        models = [
            described.model,
            *(agent.model for agent in agents if agent.provider == name),
            *(entry.name for entry in entries if entry.provider == name),
        ]
        for model in dict.fromkeys(model for model in models if model not in {None, *settings.models}) or [None]:
            yield _Deployment(provider=name, model=model, terms=terms)


def _pricing(prices: CostCalculator, deployment: _Deployment) -> Pricing | None:
    return prices.get_pricing(deployment.provider, deployment.model or "", terms=deployment.terms)


def _idle_rows(rows: Sequence[PriceRow], deployments: Iterable[_Deployment]) -> list[PriceRow]:
    """The rows that hold for nobody, whenever and in whatever tier: a slip of the pen, most likely."""
    asked = list(deployments)
    always = [row.model_copy(update={"since": None, "service_tier": None, "above": None}) for row in rows]
    return [
        row
        for row, bare in zip(rows, always, strict=True)
        if not any(PriceTable([bare]).find(one.provider, one.model, one.terms) for one in asked)
    ]


def _print_prices(found: Sequence[tuple[_Deployment, Pricing | None, Pricing | None]]) -> None:
    console = output_console()
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("provider")
    table.add_column("model")
    table.add_column("in", justify="right")
    table.add_column("out", justify="right")
    table.add_column("source")
    table.add_column("")
    for deployment, pricing, listed in found:
        table.add_row(
            deployment.provider,
            deployment.model or "(any)",
            *(_rates(pricing) if pricing else ("?", "?")),
            Text(pricing.price_version or pricing.source if pricing else "unknown", "" if pricing else "red"),
            Text(_remark(pricing, listed), "dim"),
        )
    console.print(table)
    console.print(Text("USD for a million tokens; at the usual tier, today.", "dim"))


def _print_idle(rows: Sequence[PriceRow]) -> None:
    console = output_console()
    for row in rows:
        who = f"{row.provider}: {row.model}" if row.provider else row.model
        console.print(Text.from_markup(mark(console, "note")), Text(f"a row holds for none of them: {who}"))


def _rates(pricing: Pricing) -> tuple[str, str]:
    return _rate(pricing.input_per_million), _rate(pricing.output_per_million)


def _rate(usd: Decimal | None) -> str:
    return "?" if usd is None else f"{usd.normalize():f}"


def _remark(pricing: Pricing | None, listed: Pricing | None) -> str:
    if pricing is None:
        return "state its price under 'prices'"
    if pricing.rates.gpu_hour is not None:
        return f"{money(pricing.rates.gpu_hour)} for a GPU's hour"
    if pricing.source == "user" and listed is not None and listed.source == "catalog" and listed.rates != pricing.rates:
        return "the list has {} and {}".format(*_rates(listed))
    return "" if pricing.complete else "beside tokens there are units that are not counted, so the cost is unknown"


def _print_changes(changes: Sequence[PriceChange], *, dry_run: bool) -> None:
    console = output_console()
    before, before_unknown = _sum(change.attempt.cost_usd for change in changes)
    after, after_unknown = _sum(change.figure.cost_usd for change in changes)
    verb = "would be" if dry_run else "are"
    console.print(
        f"{len(changes):,} attempts {verb} priced anew: {rounded_money(before)} becomes {rounded_money(after)}"
    )
    if before_unknown or after_unknown:
        console.print(f"of unknown cost: {before_unknown:,} before, {after_unknown:,} after")


def _sum(costs: Iterable[Decimal | None]) -> tuple[Decimal, int]:
    """The known costs, and how many are unknown."""
    total, unknown = Decimal(0), 0
    for cost in costs:
        total, unknown = total + (cost or 0), unknown + (cost is None)
    return total, unknown


def _as_json(deployment: _Deployment, pricing: Pricing | None) -> Mapping[str, object]:
    """Scripts may rely on it: money is a text, so that no digit is lost."""
    rates = (
        pricing.rates.model_dump(mode="json", exclude_none=True, exclude=None if pricing.rates.gpu_hour else _SHARES)
        if pricing
        else {}
    )
    return {
        "provider": deployment.provider,
        "model": deployment.model,
        "source": pricing.source if pricing else "unknown",
        "price_version": pricing.price_version if pricing else None,
        "rates": rates,
    }


def _change_as_json(change: PriceChange) -> Mapping[str, object]:
    was, becomes = change.attempt, change.figure
    return {
        "call_id": was.call_id,
        "number": was.number,
        "before": {"cost_usd": _text(was.cost_usd), "source": was.cost_source, "price_version": was.price_version},
        "after": {
            "cost_usd": _text(becomes.cost_usd),
            "source": becomes.cost_source,
            "price_version": becomes.price_version,
        },
    }


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd.normalize():f}"
