"""`avionics config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avionics.cli.exit_code import ExitCode, exits

__all__ = ["config"]

config = typer.Typer(no_args_is_help=True, help="Show, describe, begin or check the settings.")


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
