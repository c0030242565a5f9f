"""Finished spans as trace viewers draw them: a tree beside bars on one time axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from avionics.cli.figures import milliseconds
from avionics.cli.waterfall import time_bar
from avionics.telemetry import semconv
from avionics.telemetry.sdk.span_memory import FinishedSpan

__all__ = ["print_attributes", "print_trace"]


def print_trace(console: Console, spans: Sequence[FinishedSpan]) -> None:
    """Print one trace: `spans` are a root, which comes first, and what lies below it."""
    if not spans:  # OTEL_SDK_DISABLED
        console.print("no spans: the SDK of OpenTelemetry is switched off")
        return
    root, unicode = spans[0], console.encoding.startswith("utf")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("name", "bar", "duration"):
        table.add_column(name, no_wrap=True)
    for prefix, span in _walk(root, spans, unicode=unicode):
        style = "red" if span.error is not None else "green"
        table.add_row(
            Text.assemble((prefix, "dim"), (span.name, "bold")),
            Text(_bar(span, root, "━" if unicode else "="), style),
            Text(milliseconds(span.duration), justify="right"),
            Text(_remark(span), style if span.error is not None else "dim"),
        )
    console.print(table)


def print_attributes(console: Console, span: FinishedSpan) -> None:
    """Print a span's attributes under the names with which they are exported."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in span.attributes.items():
        shown = ", ".join(map(str, cast("tuple[object, ...]", value))) if isinstance(value, tuple) else str(value)
        table.add_row(Text(name, "dim"), Text(shown))
    console.print(table)


def _walk(
    span: FinishedSpan, spans: Sequence[FinishedSpan], *, unicode: bool, lead: str = "", prefix: str = ""
) -> Iterator[tuple[str, FinishedSpan]]:
    yield prefix, span
    children = [child for child in spans if child.parent_id == span.span_id]
    branch, last_branch, line = ("├─ ", "└─ ", "│  ") if unicode else ("|- ", "`- ", "|  ")
    for child in children:
        last = child is children[-1]
        yield from _walk(
            child,
            spans,
            unicode=unicode,
            lead=lead + ("   " if last else line),
            prefix=lead + (last_branch if last else branch),
        )


def _bar(span: FinishedSpan, root: FinishedSpan, stroke: str) -> str:
    return time_bar(span.started_at_ns, span.ended_at_ns, of=(root.started_at_ns, root.ended_at_ns), stroke=stroke)


def _remark(span: FinishedSpan) -> str:
    facts = span.attributes
    number = facts.get(semconv.ATTEMPT_NUMBER)
    if number is None:
        return "the call"
    reason = f" ({facts[semconv.ATTEMPT_REASON]})" if semconv.ATTEMPT_REASON in facts else ""
    error = f": {span.error}" if span.error is not None else ""
    return f"attempt {number}{reason}{error}"
