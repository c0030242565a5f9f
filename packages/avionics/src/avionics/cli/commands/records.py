"""`avionics usage`, `stats`, `whatif`, `logs` and `experiments`: what became of the calls that were made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avionics.cli.exit_code import exits
from avionics.cli.options import (
    Agent,
    By,
    Form,
    Outcome,
    Since,
    Tenant,
    Until,
)

__all__ = ["experiments", "logs", "records"]

records = typer.Typer()


@records.command("usage")
def _usage(
    by: Annotated[By, typer.Option("--by", help="What to sum up by.")] = By.MODEL,
    since: Since = None,
    until: Until = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw bars.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with all of it into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Sum up what logged calls used and cost, and how sure that is. Days are those of UTC."""
    with exits():
        from avionics.cli.usage import show_usage
        from avionics.settings import get_settings

        show_usage(get_settings(), by.value, since, until, plot=plot, html=html, as_json=as_json)


@records.command("stats")
def _stats(
    since: Since = None,
    until: Until = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Show how each deployment fared in logged calls: errors, times, speed, spending, and whether it is asked now."""
    with exits():
        from avionics.cli.stats import show_stats
        from avionics.settings import get_settings

        show_stats(get_settings(), since, until, as_json=as_json)


experiments = typer.Typer(no_args_is_help=True, help="How calls did that were made in one of several ways.")


@experiments.command("report")
def _experiments_report(
    name: Annotated[str, typer.Argument(help="The experiment.")],
    metric: Annotated[str | None, typer.Option("--metric", help="Of feedback, only this metric.")] = None,
    control: Annotated[
        str | None, typer.Option("--control", help="Compare with this variant, in place of the first of the settings.")
    ] = None,
    since: Since = None,
    until: Until = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the variants of an experiment: errors, times, costs and feedback, with 95 % intervals."""
    with exits():
        from avionics.cli.experiments import show_experiment
        from avionics.settings import get_settings

        show_experiment(get_settings(), name, metric=metric, control=control, since=since, until=until, as_json=as_json)


logs = typer.Typer(no_args_is_help=True, help="Show, export and forget logged calls.")


@logs.command("tail")
def _logs_tail(
    last: Annotated[int, typer.Option("-n", "--last", min=1, help="How many calls.")] = 20,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new ones, until Ctrl-C.")] = False,
    agent: Agent = None,
    tenant: Tenant = None,
    outcome: Outcome = None,
) -> None:
    """List the last calls."""
    with exits():
        from avionics.calls.history import CallFilter
        from avionics.cli.logs import show_last_calls
        from avionics.settings import get_settings

        which = CallFilter(agent=agent, tenant=tenant, outcome=outcome)
        show_last_calls(get_settings(), which, last=last, follow=follow)


@logs.command("show")
def _logs_show(
    call_id: Annotated[str, typer.Argument(help="The id of a call, or its beginning or end.", metavar="ID")],
) -> None:
    """Show one call: its attempts on a time axis, what they used and cost, and what was said, if it was captured."""
    with exits():
        from avionics.cli.logs import show_call
        from avionics.settings import get_settings

        show_call(get_settings(), call_id)


@logs.command("export")
def _logs_export(
    form: Annotated[
        Form, typer.Option("--format", help="JSON lines with the attempts, or a table of calls.")
    ] = Form.JSONL,
    since: Since = None,
    until: Until = None,
    agent: Agent = None,
    tenant: Tenant = None,
    outcome: Outcome = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write into this file; without one, to standard output.")
    ] = None,
) -> None:
    """Write logged calls as data."""
    with exits():
        from avionics.calls.history import CallFilter
        from avionics.cli.logs import export_calls
        from avionics.cli.points_in_time import point_in_time
        from avionics.settings import get_settings

        which = CallFilter(
            agent=agent,
            tenant=tenant,
            outcome=outcome,
            since_ns=point_in_time(since, "--since"),
            until_ns=point_in_time(until, "--until"),
        )
        export_calls(get_settings(), which, form=form.value, output=output)


@logs.command("prune")
def _logs_prune(
    before: Annotated[str, typer.Option("--before", help="Such as 90d for so long ago, or 2026-11-20.")],
) -> None:
    """Forget old calls, for ever."""
    with exits():
        from avionics.cli.logs import prune_calls
        from avionics.settings import get_settings

        prune_calls(get_settings(), before)


@records.command("whatif")
def _whatif(
    model: Annotated[str | None, typer.Option("-m", "--model", help="The model that would have been asked.")] = None,
    provider: Annotated[str | None, typer.Option("-p", "--provider", help="Who would have served it.")] = None,
    prices: Annotated[Path | None, typer.Option("--prices", help="Another price table: a YAML or TOML file.")] = None,
    agent: Agent = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what logged calls would have cost with another model, or at other prices, and what that assumes."""
    with exits():
        from avionics.calls.history import CallFilter
        from avionics.cli.points_in_time import point_in_time
        from avionics.cli.whatif import show_what_if
        from avionics.settings import get_settings

        which = CallFilter(
            agent=agent,
            tenant=tenant,
            since_ns=point_in_time(since, "--since"),
            until_ns=point_in_time(until, "--until"),
        )
        show_what_if(get_settings(), which, model=model, provider=provider, prices=prices, as_json=as_json)
