"""`avionics config`: the settings shown, described, begun and checked. Nobody is asked, and no key is shown."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from avionics.cli.console import mark, output_console
from avionics.cli.settings_report import SettingInForce, settings_in_force
from avionics.errors import ConfigurationError
from avionics.llm.validation import find_config_problems
from avionics.settings import Settings, get_settings, settings_schema

__all__ = ["check", "print_schema", "settings_table", "show", "write_first_file"]


def show(file: Path | None, as_json: bool) -> None:
    """Print the settings that hold. Raises `ConfigurationError`."""
    rows = settings_in_force(_settings(file))
    if as_json:
        print(json.dumps([{"name": row.name, "value": row.value, "source": row.source} for row in rows]))
    else:
        output_console().print(settings_table(rows))


def print_schema() -> None:
    """Print the JSON Schema of a settings file."""
    print(json.dumps(settings_schema(), indent=2))


def write_first_file(file: Path) -> None:
    """Write the file to begin with. Raises `ConfigurationError` where there is one, and where it cannot be written."""
    if file.suffix not in {".yaml", ".yml"}:
        raise ConfigurationError(f"{file}: the file to begin with is YAML; call it avionics.yaml")
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(files("avionics.cli").joinpath("first_settings.yaml").read_text(encoding="utf-8"))
    except FileExistsError:
        raise ConfigurationError(f"{file} is there already; it was left as it is") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from None
    print(f"{file} is written. When it says what you want: avionics config check {file}")


def check(file: Path | None) -> bool:
    """Print what is wrong with the settings, and what one should know of them; whether nothing is wrong.

    Raises `ConfigurationError` for what cannot be read as settings at all.
    """
    settings = _settings(file)
    console = output_console()
    problems = find_config_problems(settings)
    for problem in problems:
        console.print(f"{mark(console, 'bad' if problem.fatal else 'note')} {escape(problem.message)}")
    if any(problem.fatal for problem in problems):
        return False
    console.print(f"{mark(console, 'good')} {escape(str(settings.config or 'the settings'))}: nothing is wrong")
    return True


def settings_table(rows: list[SettingInForce]) -> Table:
    """The settings with their sources; defaults are dim."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(row.name, escape(row.value), escape(row.source or "default"), style=None if row.source else "dim")
    return table


def _settings(file: Path | None) -> Settings:
    return get_settings() if file is None else Settings(config=file)
