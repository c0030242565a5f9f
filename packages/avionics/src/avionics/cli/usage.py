"""`avionics usage`: what calls used and cost, with what is estimated and what is unknown of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from avionics.calls.history import CallHistory
from avionics.calls.usage import DIMENSIONS, Dimension, UsageGroup, UsageReport, UsageTotals
from avionics.cli.console import output_console
from avionics.cli.figures import rounded_money
from avionics.cli.points_in_time import clock_time, point_in_time
from avionics.cli.usage_page import NAMELESS, known_cost, usage_page
from avionics.errors import ConfigurationError
from avionics.settings import Settings

__all__ = ["show_usage"]

_BAR_WIDTH = 40


def show_usage(
    settings: Settings,
    by: Dimension,
    since: str | None,
    until: str | None,
    *,
    plot: bool = False,
    as_json: bool = False,
    html: Path | None = None,
) -> None:
    """Print the sums, or write them into a page. Raises `ConfigurationError` and `DatabaseUnavailableError`."""
    since_ns, until_ns = point_in_time(since, "--since"), point_in_time(until, "--until")
    with CallHistory(settings) as history:
        if html is not None:
            reports = [history.usage(dimension, since_ns=since_ns, until_ns=until_ns) for dimension in DIMENSIONS]
            _write(html, usage_page(reports))
            return
        report = history.usage(by, since_ns=since_ns, until_ns=until_ns)
    if as_json:
        print(json.dumps(_as_json(report)))
    elif plot:
        _print_bars(output_console(), report)
    else:
        _print_table(output_console(), report)


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"--html: {path} cannot be written: {error.strerror}") from None
    print(f"{path} is written")


def _as_json(report: UsageReport) -> dict[str, object]:
    """Scripts may rely on it: money is a text, so that no digit is lost."""
    return {
        "by": report.by,
        "since": None if report.since_ns is None else clock_time(report.since_ns),
        "until": None if report.until_ns is None else clock_time(report.until_ns),
        "groups": [{"key": group.key, **_totals_as_json(group.totals)} for group in report.groups],
        "total": _totals_as_json(report.totals),
    }


def _totals_as_json(totals: UsageTotals) -> dict[str, object]:
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in asdict(totals).items()}


def _print_table(console: Console, report: UsageReport) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column(report.by or "")
    for name in ("calls", "attempts", "failed", "tokens in", "tokens out", "cost", "estimated", "unknown"):
        table.add_column(name, justify="right", no_wrap=" " not in name)
    for group in report.groups:
        table.add_row(*_cells(group))
    table.add_section()
    table.add_row(*_cells(UsageGroup(key="total", totals=report.totals)), style="bold")
    console.print(table)
    console.print(Text(_remarks(report.totals), "dim"))


def _cells(group: UsageGroup) -> list[Text]:
    totals = group.totals
    counts = (totals.calls, totals.attempts, totals.failures, totals.input_tokens, totals.output_tokens)
    return [
        Text(group.key or NAMELESS),
        *(Text(f"{count:,}") for count in counts),
        Text(known_cost(totals)),
        Text(rounded_money(totals.cost_estimated_usd) if totals.cost_estimated_usd else "", "yellow"),
        Text(f"{totals.unpriced:,}" if totals.unpriced else "", "red"),
    ]


def _remarks(totals: UsageTotals) -> str:
    """What the figures are worth."""
    remarks: list[str] = []
    if totals.estimated:
        low, high = rounded_money(totals.cost_low_usd), rounded_money(totals.cost_high_usd)
        count = f"{totals.estimated:,}"
        remarks.append(f"The tokens of {count} attempts were not reported, but estimated: the cost is {low} to {high}.")
    if totals.unpriced:
        remarks.append(f"The cost of {totals.unpriced:,} attempts is unknown and not in the sum.")
    if totals.cache_hits:
        saved = rounded_money(totals.saved_usd)
        remarks.append(f"The response cache answered {totals.cache_hits:,} calls and saved {saved}.")
    return " ".join(remarks) or "No part of this is estimated or unknown."


def _print_bars(console: Console, report: UsageReport) -> None:
    """A bar for each group, as long as its cost; where all is free, as its tokens."""
    by_cost = report.totals.cost_usd > 0
    most = max((_length(group.totals, by_cost=by_cost) for group in report.groups), default=Decimal(0)) or Decimal(1)
    stroke = "━" if console.encoding.startswith("utf") else "="
    table = Table(box=None, show_header=False, pad_edge=False)
    for group in report.groups:
        totals = group.totals
        length = round(_length(totals, by_cost=by_cost) / most * _BAR_WIDTH)
        guessed = round(totals.cost_estimated_usd / most * _BAR_WIDTH) if by_cost else 0
        bar = Text.assemble((stroke * (length - guessed), "green"), (stroke * guessed, "yellow"))
        figure = known_cost(totals) if by_cost else f"{totals.input_tokens + totals.output_tokens:,} tokens"
        unknown = Text(f"+ {totals.unpriced:,} unknown" if totals.unpriced else "", "red")
        table.add_row(Text(group.key or NAMELESS), bar, Text(figure, justify="right"), unknown)
    console.print(table)
    console.print(Text(_remarks(report.totals), "dim"))


def _length(totals: UsageTotals, *, by_cost: bool) -> Decimal:
    return totals.cost_usd if by_cost else Decimal(totals.input_tokens + totals.output_tokens)
