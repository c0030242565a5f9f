"""`avionics prices`."""

from __future__ import annotations

from typing import Annotated

import typer

from avionics.cli.exit_code import ExitCode, exits
from avionics.cli.options import (
    PriceFile,
)

__all__ = ["prices"]

prices = typer.Typer(no_args_is_help=True, help="What models cost, and what logged calls would have cost.")


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
