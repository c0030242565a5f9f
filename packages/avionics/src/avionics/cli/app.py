"""The commands, their options and their help. What they do is in the module of each, loaded when it is asked for."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from avionics._version import __version__
from avionics.cli.commands.calls import batch, route
from avionics.cli.commands.prices import prices
from avionics.cli.commands.records import experiments, logs, records
from avionics.cli.commands.settings import config
from avionics.cli.exit_code import ExitCode, exits
from avionics.cli.options import Provider

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show local variables, and a key may be among them
    rich_markup_mode="rich",
    help="Ask language models, wherever they run, and see what it took.",
    epilog="Exit codes: 0 ok, 1 the call failed, 2 wrong usage or configuration, 130 interrupted. "
    "Settings are environment variables AVIONICS_*, or a file named by AVIONICS_CONFIG: see 'avionics doctor'.",
)


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


@app.command("demo")
def _demo() -> None:
    """Run the main job on a real llama.cpp inside this process: no key, no server, no network."""
    with exits():
        import anyio

        from avionics.cli.demo import run

        anyio.run(run)


app.add_typer(route, name="route")
app.add_typer(batch, name="batch")
app.add_typer(config, name="config")
app.add_typer(records)
app.add_typer(logs, name="logs")
app.add_typer(experiments, name="experiments")
app.add_typer(prices, name="prices")
