"""Writing for people: in colour where there is a terminal, plain where there is none, and never more than that."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console
from typing_extensions import override

__all__ = ["error_console", "harmless", "mark", "output_console", "write_answer"]

_CONTROL_CODES = (*range(9), *range(11, 32), *range(127, 160))  # all but tab and line feed
_HARMLESS: Final[dict[int, None]] = dict.fromkeys(_CONTROL_CODES)

_UNBROKEN = 1000  # columns: nothing that is printed here comes near

_MARKS = {"good": ("✓", "ok", "green"), "note": ("!", "!", "yellow"), "bad": ("✗", "X", "bold red")}


class _OutputConsole(Console):
    """Standard output; its reader may go away (`| head`), which rich would take for a failure of ours."""

    @override
    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError


def output_console() -> Console:
    """Standard output. Without a terminal, lines are as long as they need to be: other programs read them."""
    return _OutputConsole(highlight=False, width=None if sys.stdout.isatty() else _UNBROKEN)


def error_console() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False)


def mark(console: Console, kind: str) -> str:
    """A sign in front of a line, as rich markup: `good`, `note` or `bad`."""
    sign, plain, style = _MARKS[kind]
    return f"[{style}]{sign if console.encoding.startswith('utf') else plain}[/]"


def harmless(text: str) -> str:
    """The same without what a terminal would obey."""
    return text.translate(_HARMLESS)


def write_answer(text: str) -> None:
    """Write a piece of a model's answer to standard output at once.

    A terminal would obey escape sequences in it, so there they are left out; a file or a pipe gets the exact text.
    """
    out = sys.stdout
    if out.isatty():
        text = harmless(text)
    encoding = out.encoding or "utf-8"
    out.write(text.encode(encoding, "replace").decode(encoding))
    out.flush()
