"""`avionics stats`: how each deployment fared, from the call log."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from decimal import Decimal

from rich.table import Table
from rich.text import Text

from airframe.types import JSONObject
from avionics.calls.deployment_history import deployment_stats
from avionics.calls.history import CallFilter, CallHistory
from avionics.cli.console import harmless, output_console
from avionics.cli.figures import milliseconds, rounded_money
from avionics.cli.points_in_time import point_in_time
from avionics.llm.deployment_stats import DeploymentStats, Spread
from avionics.llm.routing import HealthPolicy
from avionics.settings import Settings

__all__ = ["show_stats"]

_LONGEST_NAME = 30


def show_stats(settings: Settings, since: str | None, until: str | None, *, as_json: bool) -> None:
    """Print the figures of each deployment. Raises `ConfigurationError` and `DatabaseUnavailableError`."""
    which = CallFilter(since_ns=point_in_time(since, "--since"), until_ns=point_in_time(until, "--until"))
    policy = HealthPolicy.from_settings(settings.routing.health)
    with CallHistory(settings) as history:
        stats = deployment_stats(history.attempts(which), now=time.time(), policy=policy)
    if as_json:
        print(json.dumps([_as_json(each) for each in stats]))
    else:
        _print(stats)


def _as_json(stats: DeploymentStats) -> JSONObject:
    """Times are seconds; money is a text, so that no digit is lost, and null is unknown."""
    return {
        "deployment": stats.name,
        "exchanges": stats.exchanges,
        "answers": stats.answers,
        "errors": {category.value: count for category, count in stats.errors.items()},
        "latency": {"p50": stats.latency.p50, "p95": stats.latency.p95},
        "first_event": {"p50": stats.first_event.p50, "p95": stats.first_event.p95},
        "tokens_per_second": stats.tokens_per_second,
        "spent_usd": f"{stats.spent_usd:f}",
        "without_cost": stats.without_cost,
        "breaker": stats.breaker,
        "opens_in": stats.opens_in,
    }


def _print(stats: Sequence[DeploymentStats]) -> None:
    console = output_console()
    if not stats:
        console.print(Text("No call was logged.", "dim"))
        return
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("deployment\n  errors", overflow="fold", max_width=_LONGEST_NAME)
    for heading in ("asked", "failed", "latency\np50, p95", "first event\np50, p95", "tok/s", "spent"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("breaker", no_wrap=True)
    for each in stats:
        table.add_row(*_cells(each))
    table.add_row(*_total(stats), style="bold")
    console.print(table)
    console.print(Text(_REMARK, "dim"))


_REMARK = "The breaker is that of a gateway that made all of these calls; each gateway keeps its own."


def _cells(stats: DeploymentStats) -> list[Text]:
    failed = stats.exchanges - stats.answers
    name = Text(harmless(stats.name))
    for category, count in sorted(stats.errors.items(), key=lambda pair: -pair[1]):
        name.append(f"\n  {count:,} {category.value}", "red")
    speed = stats.tokens_per_second
    return [
        name,
        Text(f"{stats.exchanges:,}"),
        Text(f"{failed:,}" if failed else "", "red"),
        _spread(stats.latency),
        _spread(stats.first_event),
        Text("" if speed is None else f"{speed:,.1f}" if speed < 100 else f"{speed:,.0f}"),
        _spent(stats.spent_usd, stats.without_cost),
        _breaker(stats),
    ]


def _total(stats: Sequence[DeploymentStats]) -> list[Text]:
    exchanges = sum(each.exchanges for each in stats)
    failed = exchanges - sum(each.answers for each in stats)
    spent = sum((each.spent_usd for each in stats), Decimal(0))
    without = sum(each.without_cost for each in stats)
    blank = Text("")
    counts = [Text(f"{exchanges:,}"), Text(f"{failed:,}" if failed else "", "red")]
    return [Text("total"), *counts, blank, blank, blank, _spent(spent, without), blank]


def _spread(spread: Spread) -> Text:
    if spread.p50 is None:
        return Text("")
    return Text(f"{milliseconds(spread.p50)}\n{milliseconds(spread.p95)}")


def _spent(usd: Decimal, without_cost: int) -> Text:
    text = Text(rounded_money(usd) if usd or not without_cost else "")
    if without_cost:
        text.append(f"\n{without_cost:,} unknown" if text else f"{without_cost:,} unknown", "yellow")
    return text


def _breaker(stats: DeploymentStats) -> Text:
    match stats.breaker:
        case "open":
            return Text(f"open for\n{milliseconds(stats.opens_in)}", "red")
        case "half_open":
            return Text("half open", "yellow")
        case _:
            return Text("closed", "green")
