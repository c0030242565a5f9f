"""`python -m airframe.testing.server --script FILE`: the fake server for programs in any language."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from airframe.testing.script import Script
from airframe.testing.script_file import ScriptFileError
from airframe.testing.server.dialects import DIALECTS
from airframe.testing.server.fake_server import FakeServer


def main() -> int:
    """Serve until standard input ends, or Ctrl-C. The first line that is printed is the URL."""
    parser = argparse.ArgumentParser(
        prog="python -m airframe.testing.server",
        description="Answers from a script on 127.0.0.1, until standard input ends. Prints its URL.",
    )
    parser.add_argument(
        "--script", required=True, metavar="FILE", help="YAML or JSON; see airframe.testing.script_file"
    )
    parser.add_argument("--port", type=int, default=0, help="by default a free one")
    parser.add_argument("--dialect", choices=list(DIALECTS), help="whom to play; by default all, as their paths tell")
    arguments = parser.parse_args()
    try:
        server = FakeServer(Script.load(arguments.script), dialect=arguments.dialect, port=arguments.port)
        server.start()
    except (ScriptFileError, ModuleNotFoundError, OSError, OverflowError) as error:
        parser.exit(2, f"{error}\n")
    try:
        print(server.base_url, flush=True)  # noqa: T201 - what it is for
        with contextlib.suppress(KeyboardInterrupt):
            while os.read(0, 1024):
                pass
    finally:
        server.stop()
    for failure in server.failures:
        print(failure, file=sys.stderr)  # noqa: T201 - what it is for
    return 1 if server.failures else 0


if __name__ == "__main__":
    sys.exit(main())
