"""The command `avionics`. Its packages come with the extra `cli`."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process. Always raises `SystemExit`; see `avionics.cli.exit_code`."""
    missing = [name for name in ("rich", "typer") if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"avionics: the command line needs {' and '.join(missing)}: pip install 'jeeves-avionics[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    from avionics.cli.app import app

    app(prog_name="avionics")
