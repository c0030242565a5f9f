"""How the command ends, for scripts that ask. Nothing heavy is imported here: `--help` must be quick."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum

import typer

__all__ = ["ExitCode", "exits"]


class ExitCode(IntEnum):
    """What the command's exit codes mean.

    `USAGE` is also a configuration that cannot work: nothing was sent. `PIPE_CLOSED` is what the shell says of a
    program that SIGPIPE ended, such as the one before `| head`. Ctrl-C is 130, which is typer's own doing.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    PIPE_CLOSED = 141


@contextmanager
def exits() -> Generator[None]:
    """Runs a command: what it raises becomes one message on stderr and an exit code."""
    logging.getLogger("avionics").addHandler(logging.NullHandler())  # what matters to the user, the command says itself
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.PIPE_CLOSED) from None
    except Exception as error:
        code = _code_of(error)
        if code is None:
            raise
        broke_off = "the answer broke off: " if getattr(error, "partial_text", "") else ""
        print(f"avionics: {broke_off}{error}", file=sys.stderr)
        raise typer.Exit(code) from None


def _code_of(error: Exception) -> ExitCode | None:
    """None for an error that is a fault of this program."""
    from avionics.errors import AvionicsError, ConfigurationError, LLMInvalidRequestError

    if isinstance(error, ConfigurationError):
        return ExitCode.USAGE
    if isinstance(error, LLMInvalidRequestError) and error.status is None:  # nobody was asked
        return ExitCode.USAGE
    return ExitCode.FAILED if isinstance(error, AvionicsError) else None
