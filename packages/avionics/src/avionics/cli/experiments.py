"""`avionics experiments report`: how the variants of an experiment did, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from avionics.calls.history import CallHistory
from avionics.cli.console import output_console
from avionics.cli.figures import milliseconds
from avionics.cli.points_in_time import point_in_time
from avionics.errors import ConfigurationError
from avionics.llm.experiments.intervals import Estimate
from avionics.llm.experiments.report import ExperimentReport, Figure, VariantReport
from avionics.settings import Settings

__all__ = ["show_experiment"]


def show_experiment(
    settings: Settings,
    experiment: str,
    *,
    metric: str | None = None,
    control: str | None = None,
    since: str | None = None,
    until: str | None = None,
    as_json: bool = False,
) -> None:
    """Print the report. Raises `ConfigurationError`, also for a name that neither the settings nor the log has."""
    described = settings.experiments.get(experiment)
    variants = described.variants if described else ()
    if control is None and variants:
        control = variants[0].name
    since_ns, until_ns = point_in_time(since, "--since"), point_in_time(until, "--until")
    with CallHistory(settings) as history:
        report = history.experiment_report(
            experiment,
            control=control,
            metric=metric,
            weights={variant.name: variant.weight for variant in variants},
            since_ns=since_ns,
            until_ns=until_ns,
        )
    if described is None and not report.variants:
        known = ", ".join(settings.experiments) or "none"
        raise ConfigurationError(f"{experiment!r} is no experiment of the settings (known: {known}) nor of the log")
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        _print(report)


def _print(report: ExperimentReport) -> None:
    console = output_console()
    if report.variants:
        console.print(_calls(report))
        console.print()
        console.print(_figures(report))
    for remark in report.remarks:
        console.print(Text(remark, "dim"))


def _calls(report: ExperimentReport) -> Table:
    table = _table("variant", "calls", "sessions", "left", "cached", "half within", "95 % within")
    for each in report.variants:
        counts = (each.calls, each.sessions, each.left, each.cached)
        table.add_row(
            Text(each.variant), *(f"{count:,}" for count in counts), milliseconds(each.p50), milliseconds(each.p95)
        )
    return table


def _figures(report: ExperimentReport) -> Table:
    table = _table("", "variant", "sessions", "mean", "95 % interval", "difference", "95 % interval")
    names = dict.fromkeys(name for each in report.variants for name, _ in _figures_of(each))
    for name in names:
        rows = [(each.variant, figure) for each in report.variants for own, figure in _figures_of(each) if own == name]
        for position, (variant, figure) in enumerate(rows):
            shown = name if position == 0 else ""
            table.add_row(Text(shown), Text(variant), f"{figure.mean.count:,}", *_cells(name, figure))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="left" if name == "variant" else "right")
    return table


def _figures_of(variant: VariantReport) -> Iterator[tuple[str, Figure]]:
    found = {"errors": variant.errors, "USD a call": variant.cost_usd, **variant.feedback}
    yield from ((name, figure) for name, figure in found.items() if figure is not None)


def _cells(name: str, figure: Figure) -> Iterator[Text]:
    as_share = name == "errors"
    yield Text(_number(figure.mean.value, as_share))
    yield Text(_interval(figure.mean, as_share), "dim")
    if (difference := figure.difference) is not None:
        style = "bold" if difference.excludes_zero else ""
        yield Text(_number(difference.value, as_share, sign="+"), style)
        yield Text(_interval(difference, as_share, sign="+"), style or "dim")


def _interval(estimate: Estimate, as_share: bool, sign: str = "-") -> str:
    if estimate.low is None or estimate.high is None:
        return "not known"
    return f"{_number(estimate.low, as_share, sign=sign)} to {_number(estimate.high, as_share, sign=sign)}"


def _number(value: float, as_share: bool, sign: str = "-") -> str:
    """Such as `12.5 %` or `0.00123`: as many digits as say something."""
    return f"{value:{sign}.1%}".replace("%", " %") if as_share else f"{value:{sign}.3g}"
