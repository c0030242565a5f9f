"""The usage report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import Final

from avionics.calls.usage import OF_ATTEMPTS, UsageGroup, UsageReport, UsageTotals
from avionics.cli.figures import rounded_money
from avionics.cli.points_in_time import clock_time

__all__ = ["NAMELESS", "known_cost", "usage_page"]

NAMELESS: Final = "(none)"
"""How calls are named that name no agent, model or tenant."""

_MOST_BARS, _LONGEST_NAME = 25, 26
_STYLE = """
:root { color-scheme: light dark; --known: #2e7d4f; --guessed: #d9a520; --faint: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { font-weight: 600; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .2rem .6rem; text-align: right; }
td { white-space: nowrap; } td:first-child, th:first-child { text-align: left; }
td:first-child { max-width: 14rem; overflow: hidden; text-overflow: ellipsis; }
tr { border-bottom: 1px solid var(--faint); }
tfoot { font-weight: 600; } .unknown { color: #c0392b; } .faint { opacity: .7; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: currentColor; }
.known { fill: var(--known); } .guessed { fill: var(--guessed); } .range { stroke: currentColor; }
"""
_HEADINGS = (
    "calls",
    "attempts",
    "{} failed",
    "tokens in",
    "tokens out",
    "cost",
    "least",
    "most",
    "estimated",
    "unknown",
)


def usage_page(reports: Sequence[UsageReport]) -> str:
    """The page for reports over the same time, each by another dimension; those that tell nobody apart are left out."""
    told = [report for report in reports if any(group.key for group in report.groups)] or reports[:1]
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    sections = "".join(_section(report) for report in told)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Usage of language models</title>'
        f"<style>{_STYLE}</style></head><body><h1>Usage of language models</h1>"
        f'<p class="faint">{_period(reports[0])}; made {made} UTC.</p>'
        f"<p>{_summary(reports[0].totals)}</p>{sections}</body></html>\n"
    )


def _period(report: UsageReport) -> str:
    since = f"calls since {clock_time(report.since_ns)} UTC" if report.since_ns is not None else "all calls"
    return since + (f" until {clock_time(report.until_ns)} UTC" if report.until_ns is not None else "")


def _summary(totals: UsageTotals) -> str:
    used = (
        f"<b>{totals.calls:,}</b> calls in <b>{totals.attempts:,}</b> attempts used <b>{totals.input_tokens:,}</b> "
        f"tokens of prompts and <b>{totals.output_tokens:,}</b> of answers, "
        f"for <b>{rounded_money(totals.cost_usd)}</b>."
    )
    words = [used]
    if totals.estimated:
        words.append(
            f"{rounded_money(totals.cost_estimated_usd)} of it is estimated, because the tokens of "
            f"{totals.estimated:,} attempts were not reported: the whole is "
            f"{rounded_money(totals.cost_low_usd)} to {rounded_money(totals.cost_high_usd)}."
        )
    if totals.unpriced:
        words.append(
            f'<span class="unknown">The cost of {totals.unpriced:,} attempts is unknown, and not in it.</span>'
        )
    if totals.cache_hits:
        saved = rounded_money(totals.saved_usd)
        words.append(f"The response cache answered <b>{totals.cache_hits:,}</b> calls and saved <b>{saved}</b>.")
    return " ".join(words)


def _section(report: UsageReport) -> str:
    of = "attempts" if report.by in OF_ATTEMPTS else "calls"
    head = "".join(f"<th>{heading.format(of)}</th>" for heading in (report.by or "", *_HEADINGS))
    rows = "".join(_row(group) for group in report.groups)
    total = _row(UsageGroup(key="total", totals=report.totals))
    return (
        f"<h2>By {report.by}</h2>{_bars(report)}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody><tfoot>{total}</tfoot></table>"
    )


def _row(group: UsageGroup) -> str:
    totals = group.totals
    counts = (totals.calls, totals.attempts, totals.failures, totals.input_tokens, totals.output_tokens)
    bounds = (totals.cost_low_usd, totals.cost_high_usd, totals.cost_estimated_usd)
    money = ["?"] * 3 if _is_unknown(totals) else [rounded_money(amount) for amount in bounds]
    cells = [*(f"{count:,}" for count in counts), known_cost(totals), *money]
    unknown = f'<td class="unknown">{totals.unpriced:,}</td>' if totals.unpriced else "<td>0</td>"
    name = escape(_name(group))
    return f'<tr><td title="{name}">{name}</td>' + f"{''.join(f'<td>{cell}</td>' for cell in cells)}{unknown}</tr>"


def _bars(report: UsageReport) -> str:
    groups = report.groups[-_MOST_BARS:] if report.by == "day" else report.groups[:_MOST_BARS]
    most = max((max(group.totals.cost_usd, group.totals.cost_high_usd) for group in groups), default=Decimal(0))
    if not most:
        return ""
    bars = "".join(_bar(line, group, most) for line, group in enumerate(groups))
    height = 24 * len(groups)
    return f'<svg viewBox="0 0 800 {height}" role="img" aria-label="Cost by {report.by}">{bars}</svg>'


def _bar(line: int, group: UsageGroup, most: Decimal) -> str:
    totals, top = group.totals, 24 * line
    known, guessed, low, high = (
        float(amount / most * 480)
        for amount in (
            totals.cost_usd - totals.cost_estimated_usd,
            totals.cost_estimated_usd,
            totals.cost_low_usd,
            totals.cost_high_usd,
        )
    )
    end = 210 + max(known + guessed, high)
    name = _name(group)
    shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    bounds = f"{rounded_money(totals.cost_low_usd)} to {rounded_money(totals.cost_high_usd)}"
    interval = f'<path class="range" d="M{210 + low:.1f} {top + 12}H{210 + high:.1f}"/>' if totals.estimated else ""
    return (
        f"<g><title>{escape(name)}: {bounds}</title>"
        f'<text x="200" y="{top + 16}" text-anchor="end">{escape(shown)}</text>'
        f'<rect class="known" x="210" y="{top + 4}" width="{known:.1f}" height="16"/>'
        f'<rect class="guessed" x="{210 + known:.1f}" y="{top + 4}" width="{guessed:.1f}" height="16"/>'
        f'{interval}<text x="{end + 6:.1f}" y="{top + 16}">{known_cost(totals)}</text></g>'
    )


def known_cost(totals: UsageTotals) -> str:
    """What is known of the cost. Nothing is not the same as 0."""
    return "?" if _is_unknown(totals) else rounded_money(totals.cost_usd)


def _is_unknown(totals: UsageTotals) -> bool:
    return bool(totals.unpriced) and not totals.cost_usd


def _name(group: UsageGroup) -> str:
    return group.key or NAMELESS
