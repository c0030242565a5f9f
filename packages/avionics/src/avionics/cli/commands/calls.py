"""`avionics route` and `avionics batch`: calls that might be made, and many at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from avionics.cli.exit_code import ExitCode, exits
from avionics.cli.options import (
    Provider,
)

__all__ = ["batch", "route"]

route = typer.Typer(no_args_is_help=True, help="Whom a call would ask, and why.")


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
