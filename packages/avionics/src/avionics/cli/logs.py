"""`avionics logs`: single calls from the log: the last ones, one in full, all as data."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from airframe.types import Usage
from avionics.calls.columns import USAGE_COUNTS
from avionics.calls.feedback import Feedback
from avionics.calls.history import CallFilter, CallHistory
from avionics.calls.logged import CallDetails, LoggedAttempt, LoggedCall
from avionics.cli.console import harmless, output_console
from avionics.cli.figures import milliseconds, money, rounded_money, tokens
from avionics.cli.points_in_time import clock_time, point_in_time
from avionics.cli.waterfall import time_bar
from avionics.errors import ConfigurationError
from avionics.settings import Settings

__all__ = ["export_calls", "prune_calls", "show_call", "show_last_calls"]

_PAUSE = 1.0  # seconds between two looks for new calls
_ENDING = 8  # characters: the end of an id is random, its beginning is the time
_LONGEST_NAME = 28
_WIDE = 110  # columns of a terminal
_NO_ATTEMPTS: tuple[tuple[int, str], Iterator[LoggedAttempt]] = ((0, ""), iter(()))
_LOOK_BACK = 500  # calls: one may be logged after another that began later


def show_last_calls(settings: Settings, which: CallFilter, *, last: int, follow: bool = False) -> None:
    """Print the last calls, one line each; `follow` goes on with new ones until it is interrupted."""
    console = output_console()
    with CallHistory(settings) as history:
        calls = list(history.calls(which, last=last))
        console.print(_lines(calls, header=True))
        seen = {call.id for call in history.calls(which, last=_LOOK_BACK)}
        while follow:
            time.sleep(_PAUSE)
            new = [call for call in history.calls(which, last=_LOOK_BACK) if call.id not in seen]
            seen.update(call.id for call in new)
            if new:
                console.print(_lines(new, header=False))


def show_call(settings: Settings, call_id: str) -> None:
    """Print all that is known of one call. Raises `UnknownCallError`."""
    with CallHistory(settings) as history:
        details = history.call(call_id)
    console = output_console()
    console.print(_facts(details.call))
    if details.attempts:
        console.print()
        console.print(_waterfall(console, details))
    for given in details.feedback:
        console.print(Text(harmless(_opinion(given))))
    for message in details.messages:
        console.print(Text.assemble((f"\n{message.get('role')}  ", "dim"), harmless(_words(message.get("content")))))


def export_calls(settings: Settings, which: CallFilter, *, form: str, output: Path | None) -> None:
    """Write the calls as JSON lines, with their attempts, or as CSV. Raises `ConfigurationError`."""
    with CallHistory(settings) as history, _opened(output) as out:
        if form == "csv":
            _write_csv(out, history.calls(which))
        else:
            for call, attempts in _with_attempts(history, which):
                out.write(json.dumps({**_as_json(call), "attempts": [_as_json(one) for one in attempts]}) + "\n")


def prune_calls(settings: Settings, before: str) -> None:
    """Forget the calls before this point in time."""
    before_ns = point_in_time(before, "--before")
    with CallHistory(settings) as history:
        print(f"{history.prune(before_ns):,} calls from before {clock_time(before_ns)} UTC are forgotten")


_COLUMNS = ("time (UTC)", "id ends", "agent", "model", "outcome", "attempts", "tokens", "cost", "took")


def _lines(calls: Sequence[LoggedCall], *, header: bool) -> Table:
    """A line for each call. Columns in which nothing stands are left out."""
    rows = [_line(call) for call in calls]
    shown = [place for place in range(len(_COLUMNS)) if (header and not rows) or any(str(row[place]) for row in rows)]
    names = [position for position, place in enumerate(shown) if _COLUMNS[place] in {"agent", "model"}]
    table = _table([_COLUMNS[place] if header else "" for place in shown], names=names)
    table.show_header = header
    for row in rows:
        table.add_row(*(row[place] for place in shown))
    return table


def _line(call: LoggedCall) -> Sequence[str | Text]:
    return (
        clock_time(call.started_at_ns).partition("-")[2],  # without the year: these are the last calls
        call.id[-_ENDING:],
        _name(call.agent),
        _name(":".join(name for name in (call.provider, call.model) if name)),
        _outcome(call),
        f"{call.attempts}" if call.attempts > 1 else "",
        _counts(call.usage, call.estimated),
        _rounded(call.cost_usd, call.estimated, call.unpriced),
        milliseconds(call.duration),
    )


def _outcome(call: LoggedCall) -> Text:
    if call.outcome == "success":
        return Text(f"ok{' (cached)' if call.cache == 'hit' else ''}", "green")
    return Text(f"{call.category if call.outcome == 'error' else call.outcome}", "red")


def _facts(call: LoggedCall) -> Table:
    facts = {
        "call": call.id,
        "began": f"{clock_time(call.started_at_ns)} UTC, took {milliseconds(call.duration)}",
        "first event": None if call.time_to_first_event is None else f"after {milliseconds(call.time_to_first_event)}",
        "agent": call.agent,
        "tenant": call.tenant,
        "conversation": call.conversation_id,
        "session": call.session_id,
        "variant": call.variant,
        "route": call.route.replace(",", ", then "),
        "settings": call.config_hash,
        "outcome": " ".join(
            word for word in (call.outcome, call.category, call.error_code, call.finish_reason) if word
        ),
        "answered by": " ".join(word for word in (call.provider, call.model) if word) + _deployment(call),
        "tokens": _tokens(call.usage, call.estimated),
        "cost": _cost(call.cost_usd, call.unpriced) + _interval(call),
        "error": call.error,
    }
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, fact in facts.items():
        if fact:
            table.add_row(Text(name, "dim"), Text(harmless(fact)))
    return table


def _waterfall(console: Console, details: CallDetails) -> Table:
    """The attempts on the time axis of the call: thin until the first event, thick from there on."""
    call, unicode = details.call, console.encoding.startswith("utf")
    whole = (call.started_at_ns / 1e9, call.started_at_ns / 1e9 + call.duration)
    wide = console.width >= _WIDE  # elsewhere model and server are left out; `export` has them
    last = ("model", "server") if wide else ()
    headings = ("", "why", "deployment", "", "took", "outcome", "tokens", "cost", *last)
    table = _table(headings, names=(2, 8, 9))
    for one in details.attempts:
        began = one.started_at_ns / 1e9
        bar = time_bar(began, began + one.duration, of=whole, stroke="━" if unicode else "=")
        table.add_row(
            str(one.number),
            one.reason,
            _name(one.deployment or one.provider),
            Text(bar, "red" if one.category else "green"),
            milliseconds(one.duration),
            _attempt_outcome(one),
            _counts(one.usage, one.estimated),
            _rounded(one.cost_usd, one.estimated, one.unpriced),
            *(map(_name, (one.response_model or one.model, f"{one.server_address}:{one.server_port}")) if wide else ()),
        )
    return table


def _table(headings: Sequence[str], *, names: Collection[int]) -> Table:
    """A table whose columns of `names` make room where the terminal is narrow."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for place, heading in enumerate(headings):
        is_name = place in names
        table.add_column(heading, no_wrap=not is_name, max_width=_LONGEST_NAME if is_name else None)
    return table


def _name(name: str | None) -> Text:
    return Text(name or "", no_wrap=True, overflow="ellipsis")


def _attempt_outcome(one: LoggedAttempt) -> Text:
    if one.category is None:
        return Text("ok", "green")
    return Text(" ".join(str(word) for word in (one.category, one.status, one.error_code) if word is not None), "red")


def _tokens(usage: Usage, estimated: int) -> str:
    return tokens(usage) + (" estimated" if estimated else "")


def _cost(usd: Decimal | None, unpriced: int) -> str:
    return ("" if usd is None else f"{money(usd)} + ") + "unknown" if unpriced else "" if usd is None else money(usd)


def _counts(usage: Usage, estimated: int) -> str:
    """Such as `22 + 20`, `~22 + 20` for an estimate, or nothing for what is unknown."""
    if usage.input_tokens is None and usage.output_tokens is None:
        return ""
    return ("~" if estimated else "") + tokens(usage).removesuffix(" tokens")


def _rounded(usd: Decimal | None, estimated: int, unpriced: int) -> str:
    if not unpriced and usd is not None:
        return ("~" if estimated else "") + rounded_money(usd)
    return f"{rounded_money(usd)} + unknown" if usd else "unknown" if unpriced else ""


def _interval(call: LoggedCall) -> str:
    return f", between {money(call.cost_low_usd)} and {money(call.cost_high_usd)}" if call.estimated else ""


def _deployment(call: LoggedCall) -> str:
    """Where the answer comes from, if that is not its provider alone."""
    if call.cache == "hit":
        return f", from the response cache, which saved {_cost(call.saved_usd, call.saved_usd is None)}"
    return f" ({call.deployment})" if call.deployment not in {None, call.provider} else ""


def _opinion(given: Feedback) -> str:
    return " ".join(str(word) for word in (f"{given.metric}:", given.value, given.comment) if word is not None)


def _words(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


@contextmanager
def _opened(output: Path | None) -> Generator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    try:
        file = output.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigurationError(f"--output: {output} cannot be written: {error.strerror}") from None
    with file:
        yield file


def _write_csv(out: TextIO, calls: Iterator[LoggedCall]) -> None:
    writer: csv.DictWriter[str] | None = None
    for call in calls:
        row = _as_json(call)
        if writer is None:
            writer = csv.DictWriter(out, row)
            writer.writeheader()
        writer.writerow(row)


def _with_attempts(history: CallHistory, which: CallFilter) -> Iterator[tuple[LoggedCall, Sequence[LoggedAttempt]]]:
    """Both are read in the order of time, so that neither needs to be held."""
    groups = groupby(history.attempts(which), key=lambda one: (one.call_started_at_ns, one.call_id))
    place, attempts = next(groups, _NO_ATTEMPTS)
    for call in history.calls(which):
        while place < (call.started_at_ns, call.id) and attempts is not _NO_ATTEMPTS[1]:
            place, attempts = next(groups, _NO_ATTEMPTS)
        yield call, list(attempts) if place == (call.started_at_ns, call.id) else ()


def _as_json(record: LoggedCall | LoggedAttempt) -> dict[str, Any]:
    """Flat; money is a text, so that no digit is lost, and null is unknown."""
    values = asdict(record)
    usage: dict[str, Any] = values.pop("usage")
    counts = {name: usage[name] for name in USAGE_COUNTS}
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in (values | counts).items()}
