"""The commands, their options and their help. What they do is in the module of each, loaded when it is asked for."""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from avionics._version import __version__
from avionics.cli.exit_code import ExitCode, exits

__all__ = ["By", "Form", "app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show local variables, and a key may be among them
    rich_markup_mode="rich",
    help="Ask language models, wherever they run, and see what it took.",
    epilog="Exit codes: 0 ok, 1 the call failed, 2 wrong usage or configuration, 130 interrupted. "
    "Settings are environment variables AVIONICS_*, or a file named by AVIONICS_CONFIG: see 'avionics doctor'.",
)

Provider = Annotated[
    str | None, typer.Option("-p", "--provider", help="Ask this provider instead of the configured one.")
]

Agent = Annotated[str | None, typer.Option("--agent", help="Only calls for this agent.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Only calls on behalf of this tenant.")]
Outcome = Annotated[
    str | None, typer.Option("--outcome", help="Only calls that ended so: success, error, cancelled or abandoned.")
]
Since = Annotated[
    str | None, typer.Option("--since", help="Only calls since then: 12h, 7d or 2w for so long ago, or 2026-11-20.")
]
Until = Annotated[str | None, typer.Option("--until", help="Only calls before then, said in the same way.")]


class By(StrEnum):
    """What usage is summed up by."""

    AGENT = "agent"
    MODEL = "model"
    PROVIDER = "provider"
    TENANT = "tenant"
    DAY = "day"
    VARIANT = "variant"
    DEPLOYMENT = "deployment"


class Form(StrEnum):
    """In which form calls are exported."""

    JSONL = "jsonl"
    CSV = "csv"


def _print_version(wanted: bool) -> None:
    if wanted:
        python = ".".join(map(str, sys.version_info[:3]))
        print(f"avionics {__version__} (airframe {installed_version('jeeves-airframe')}, Python {python})")
        raise typer.Exit(ExitCode.OK)


@app.callback()
def _options(
    version: Annotated[  # the callback acts on it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command("complete")
def _complete(
    prompt: Annotated[
        str | None, typer.Argument(help="The question. Without one, or with '-', it is read from standard input.")
    ] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="The model to ask.")] = None,
    system: Annotated[str | None, typer.Option("-s", "--system", help="What the model is told first.")] = None,
    provider: Provider = None,
    temperature: Annotated[
        float | None, typer.Option("-t", "--temperature", min=0, help="0 for the likeliest answer, more for variety.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="The longest answer, in tokens.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", help="For whom the call is made: whose route and parameters hold.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: text, tokens, cost, attempts and more.")
    ] = False,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Print the answer as it comes.")] = True,
) -> None:
    """Ask a model. The answer goes to standard output, everything else to standard error."""
    with exits():
        import anyio

        from avionics.cli.chosen_settings import chosen_settings
        from avionics.cli.complete import Mode, Question, complete, read_prompt

        question = Question(
            prompt=read_prompt(prompt),
            system=system,
            model=model,
            agent_name=agent,
            temperature=temperature,
            max_tokens=max_tokens,
        )
        mode = Mode.JSON if as_json else Mode.STREAM if stream else Mode.WHOLE
        anyio.run(complete, question, chosen_settings(provider), mode)


@app.command("models")
def _models(
    provider: Annotated[
        str | None, typer.Option("-p", "--provider", help="List what this provider offers, by its own account.")
    ] = None,
    catalog: Annotated[
        bool, typer.Option("--catalog", help="List what avionics knows of models, without asking anybody.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List the models that run here: on Ollama, LM Studio, llama-server and MLX, as far as one finds them."""
    if provider is not None and catalog:
        raise typer.BadParameter("the catalog asks nobody; leave -p or --catalog out")
    with exits():
        import anyio

        from avionics.cli.chosen_settings import chosen_settings
        from avionics.cli.models import list_catalog, list_local_models, list_provider_models

        settings = chosen_settings(provider)
        if catalog:
            list_catalog(settings, as_json)
        else:
            anyio.run(list_local_models if provider is None else list_provider_models, settings, as_json)


@app.command("doctor")
def _doctor() -> None:
    """Show the settings in force and check whether the providers answer."""
    with exits():
        import anyio

        from avionics.cli.doctor import examine

        if not anyio.run(examine):
            raise typer.Exit(ExitCode.FAILED)


config = typer.Typer(no_args_is_help=True, help="Show, describe, begin or check the settings.")
app.add_typer(config, name="config")


@config.command("show")
def _config_show(
    file: Annotated[Path | None, typer.Argument(help="A settings file, in place of the one that is found.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Show the settings that hold, and where each comes from. No key is shown."""
    with exits():
        from avionics.cli.config import show

        show(file, as_json)


@config.command("schema")
def _config_schema() -> None:
    """Print the JSON Schema of a settings file, for an editor that completes and checks."""
    with exits():
        from avionics.cli.config import print_schema

        print_schema()


@config.command("init")
def _config_init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("avionics.yaml"),
) -> None:
    """Write a settings file to begin with. One that exists is left alone."""
    with exits():
        from avionics.cli.config import write_first_file

        write_first_file(file)


@config.command("check")
def _config_check(
    file: Annotated[Path | None, typer.Argument(help="A settings file, in place of the one that is found.")] = None,
) -> None:
    """Check the settings as far as that can be done without asking anybody."""
    with exits():
        from avionics.cli.config import check

        if not check(file):
            raise typer.Exit(ExitCode.USAGE)


prices = typer.Typer(no_args_is_help=True, help="What models cost, and what logged calls would have cost.")
app.add_typer(prices, name="prices")

PriceFile = Annotated[
    Path | None, typer.Option("--prices", help="A file with prices of your own, in place of those of the settings.")
]


@prices.command("check")
def _prices_check(
    file: PriceFile = None, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False
) -> None:
    """Show the price of every model that the settings name. The exit code is 1 where one is unknown."""
    with exits():
        from avionics.cli.prices import check_prices
        from avionics.settings import get_settings

        if not check_prices(get_settings(), file, as_json=as_json):
            raise typer.Exit(ExitCode.FAILED)


@prices.command("reprice")
def _prices_reprice(
    file: PriceFile = None,
    since: Annotated[str | None, typer.Option("--since", help="Calls from 30m, 12h, 7d or 2w ago, or a date.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Calls before then.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of the changes.")] = False,
) -> None:
    """Price logged calls anew, at the prices of their day: by today's list, or by another table."""
    with exits():
        from avionics.cli.prices import reprice
        from avionics.settings import get_settings

        reprice(get_settings(), file, since, until, dry_run=dry_run, as_json=as_json)


@app.command("usage")
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


@app.command("stats")
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
app.add_typer(experiments, name="experiments")


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
app.add_typer(logs, name="logs")


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


@app.command("whatif")
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


route = typer.Typer(no_args_is_help=True, help="Whom a call would ask, and why.")
app.add_typer(route, name="route")


@route.command("explain")
def _route_explain(
    prompt: Annotated[str | None, typer.Argument(help="The question; with '-' it is read from standard input.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="For whom the call would be made.")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="The model, or the route, to ask for.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag of the call; may be given again.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="On whose behalf the call would be made.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", help="Of which session it would be: which variant of an experiment.")
    ] = None,
    provider: Provider = None,
    body: Annotated[bool, typer.Option("--body", help="Show what would be sent, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with what would be sent.")] = False,
) -> None:
    """Show what would become of a call: who is asked, at what price, and who is passed over. Nothing is sent.

    The exit code is 1 when nobody could be asked.
    """
    with exits():
        import anyio

        from avionics.cli.chosen_settings import chosen_settings
        from avionics.cli.complete import read_prompt
        from avionics.cli.route import Hypothesis, explain_route

        call = Hypothesis(
            prompt="Why?" if prompt is None else read_prompt(prompt),
            agent_name=agent,
            model=model,
            tenant=tenant,
            session_id=session,
            tags=tag or (),
        )
        if not anyio.run(partial(explain_route, call, chosen_settings(provider), body=body, as_json=as_json)):
            raise typer.Exit(ExitCode.FAILED)


batch = typer.Typer(no_args_is_help=True, help="Many requests, from a file into a file.")
app.add_typer(batch, name="batch")


@batch.command("run")
def _batch_run(
    source: Annotated[Path, typer.Argument(help="The requests, one a line, as in OpenAI's batches.", metavar="FILE")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The answers, one a line. Answers in it stay.")],
    concurrency: Annotated[int, typer.Option("-c", "--concurrency", min=1, help="How many are asked at once.")] = 8,
    agent: Annotated[str | None, typer.Option("--agent", help="For whom the calls are made.")] = None,
    provider: Provider = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask those again that have failed before.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show who would be asked, and the bounds of the cost. Nothing is sent.")
    ] = False,
) -> None:
    """Answer the requests of a file. Begun anew after an interruption, it goes on where it was.

    The exit code is 1 where requests failed; their lines say why.
    """
    with exits():
        import anyio

        from avionics.cli.batch import BatchRun, estimate_batch, run_batch
        from avionics.cli.chosen_settings import chosen_settings

        settings = chosen_settings(provider)
        run = BatchRun(
            source=source, output=output, concurrency=concurrency, agent_name=agent, retry_failed=retry_failed
        )
        if dry_run:
            anyio.run(estimate_batch, run, settings)
        elif not anyio.run(run_batch, run, settings):
            raise typer.Exit(ExitCode.FAILED)


@app.command("demo")
def _demo() -> None:
    """Run the main job on a real llama.cpp inside this process: no key, no server, no network."""
    with exits():
        import anyio

        from avionics.cli.demo import run

        anyio.run(run)
