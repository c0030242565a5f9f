"""`avionics batch`: a file of requests answered into another file."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from avionics.cli.console import error_console, output_console
from avionics.cli.figures import rounded_money
from avionics.errors import ConfigurationError
from avionics.llm.batch import BatchProgress, CallRequest
from avionics.llm.batch.file_run import OpenRequests, answer_file
from avionics.llm.batch.input_file import check_input
from avionics.llm.batch.output_file import OutputFile, read_answers
from avionics.llm.gateway import LLMGateway
from avionics.settings import Settings

__all__ = ["BatchRun", "estimate_batch", "run_batch"]

_MOST_REASONS = 10
"""So many requests that cannot be asked are listed; the output file will have all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRun:
    """What is asked, where the answers go, and how."""

    source: Path
    output: Path
    concurrency: int
    agent_name: str | None = None
    retry_failed: bool = False


async def run_batch(batch: BatchRun, settings: Settings) -> bool:
    """Ask all that is open, and say where the file stands. False when requests failed. Raises `ConfigurationError`."""
    ids = _checked_ids(batch)
    with OutputFile(batch.output) as output:
        if batch.retry_failed:
            output.forget_failures()
        requests = OpenRequests(batch.source, ids, output.answers)
        async with LLMGateway(settings) as gateway:
            with _progress_bar(requests) as told:
                asked = await answer_file(
                    requests,
                    output,
                    gateway,
                    concurrency=batch.concurrency,
                    agent_name=batch.agent_name,
                    on_progress=told,
                )
        answered = sum(output.answers.values())
    failed = requests.lines - answered
    counts = f"{_count(requests.lines, 'request')}: {answered:,} answered, {failed:,} failed"
    print(f"avionics: {counts}; {asked.done:,} asked now for {_cost(asked)}", file=sys.stderr)
    if failed:
        print("avionics: --retry-failed asks again what has failed", file=sys.stderr)
    return not failed


async def estimate_batch(batch: BatchRun, settings: Settings) -> None:
    """Print what would be asked, whom, and within which bounds it would cost. Nothing is sent, and no file touched."""
    ids = _checked_ids(batch)
    answers = read_answers(batch.output)
    if batch.retry_failed:
        answers = {id: answered for id, answered in answers.items() if answered}
    requests, bounds = OpenRequests(batch.source, ids, answers), _Bounds()
    async with LLMGateway(settings, observers=[]) as gateway:
        for request in requests:
            bounds.add(gateway, request, batch.agent_name)
    answered = sum(answers.values())
    table = Table.grid(padding=(0, 2))
    table.add_row("requests", f"{requests.lines:,}")
    table.add_row("answered", f"{answered:,}")
    table.add_row("failed before", f"{len(answers) - answered:,}")
    table.add_row("cannot be asked", f"{len(requests.refused) + bounds.excluded:,}")
    table.add_row("to be asked", f"{bounds.asked.total():,}")
    for deployment, count in bounds.asked.most_common():
        table.add_row(f"  {deployment}", f"{count:,}")
    table.add_row("cost", bounds.cost())
    console = output_console()
    console.print(table)
    for refused in requests.refused[:_MOST_REASONS]:
        console.print(f"line {refused.index}: {refused.error}", style="yellow", markup=False)


def _checked_ids(batch: BatchRun) -> Sequence[str]:
    """Those of the requests; looked at before the output is made."""
    if batch.source.exists() and batch.output.exists() and batch.source.samefile(batch.output):
        raise ConfigurationError("--output: the answers need a file of their own")
    return check_input(batch.source)


@dataclass(slots=True)
class _Bounds:
    """Sums over explanations: who would be asked first, and what that may cost."""

    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    unknown: int = 0
    excluded: int = 0
    asked: Counter[str] = field(default_factory=Counter[str])

    def add(self, gateway: LLMGateway, request: CallRequest, agent_name: str | None) -> None:
        """A request more."""
        told = gateway.explain(request.prompt, request.system, request.agent_name or agent_name, **request.options)
        if not told.targets:
            self.excluded += 1
            return
        first = told.targets[0]
        self.asked[first.deployment] += 1
        if first.cost_low_usd is None or first.cost_high_usd is None:
            self.unknown += 1
        else:
            self.low += first.cost_low_usd
            self.high += first.cost_high_usd

    def cost(self) -> str:
        """In words."""
        bounds = f"{rounded_money(self.low)} to {rounded_money(self.high)}, if who is asked first answers"
        return bounds + (f"; that of {_count(self.unknown, 'request')} is unknown" if self.unknown else "")


@contextmanager
def _progress_bar(requests: OpenRequests) -> Generator[Callable[[BatchProgress], None]]:
    """A bar on standard error, where that is a terminal. Gives what is to be told how far the calls are."""
    console = error_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[remark]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal, expand=True) as bar:
        before = requests.lines - len(requests)
        task = bar.add_task("asking", total=requests.lines, completed=before, remark="")

        def told(progress: BatchProgress) -> None:
            bar.update(task, completed=before + progress.done, remark=_remark(progress))

        yield told


def _remark(progress: BatchProgress) -> str:
    failed = f"[red]{progress.failed:,} failed[/] " if progress.failed else ""
    return f"{failed}{_cost(progress)}"


def _cost(progress: BatchProgress) -> str:
    unknown = f" and {_count(progress.without_cost, 'call')} at an unknown price" if progress.without_cost else ""
    return f"{rounded_money(progress.cost_usd)}{unknown}"


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}" if number == 1 else f"{number:,} {of}s"
