"""A script: what a scripted backend says, as data. Who plays it is another matter (an adapter, a server).

Script([Failure(ErrorCategory.OVERLOADED), Answer(chunks=["The sky ", "is blue."]), "And that is all."])
Script.load("weather.yaml")
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import KW_ONLY, dataclass
from itertools import cycle
from pathlib import Path
from typing import Self

from airframe.testing.script_file import read_script
from airframe.testing.steps import Answer, Failure, Step
from airframe.types import InferenceRequest

__all__ = ["Script", "ScriptPlayer"]


@dataclass(frozen=True, slots=True)
class Script:
    """Steps, one for each call.

    Attributes:
        steps: in order. An iterator is read as calls come, and may be endless: `repeat(answer_to)`.
        models: what the backend says it offers, by id.
        repeats: begin again after the last step.
        name: what an error calls it: the file.
    """

    steps: Iterable[Step]
    _: KW_ONLY
    models: Sequence[str] = ()
    repeats: bool = False
    name: str = "the script"

    def __post_init__(self) -> None:
        if isinstance(self.steps, (str, Answer, Failure)):
            raise TypeError(
                f"a script is a list of steps, got a single {type(self.steps).__name__}; put it in brackets"
            )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a script from a YAML or JSON file (see `airframe.testing.script_file`).

        Raises `ScriptFileError`, which names file, line and field.
        """
        return cls(**read_script(Path(path)))


class ScriptPlayer:
    """Goes through a script, one step at each call. Safe to share between threads."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._length = len(script.steps) if isinstance(script.steps, Sized) and not script.repeats else None
        self._steps: Iterator[Step] = cycle(script.steps) if script.repeats else iter(script.steps)
        self._lock = threading.Lock()
        self.played = 0
        """Steps that were taken."""

    def next_step(self, request: InferenceRequest) -> Answer | Failure:
        """Take the next step. Raises `RuntimeError` when there is none left."""
        with self._lock:
            step = next(self._steps, None)
            if step is None:
                call = self.played + 1
                raise RuntimeError(
                    f"{self._script.name} has no step for call {call}; give it one more, or let it repeat"
                )
            self.played += 1
        if callable(step):
            step = step(request)
        return Answer(text=step) if isinstance(step, str) else step

    def assert_played(self) -> None:
        """Raises `AssertionError` if steps are left. A script without an end (see `Script`) has always been played."""
        left = 0 if self._length is None else self._length - self.played
        if left:
            steps = list(self._script.steps)
            raise AssertionError(
                f"{self._script.name} was not played to its end: {left} of {self._length} steps are left, "
                f"the first of them {_shown(steps[self.played])}"
            )


def _shown(step: Step) -> str:
    match step:
        case str():
            return repr(step[:60])
        case Answer():
            said = "".join(step.texts) or ", ".join(call.name for call in step.tool_calls) or "nothing"
            return f"an Answer that says {said[:60]!r}"
        case Failure():
            return f"a Failure ({step.to_error().category})"
        case _:
            return f"the function {getattr(step, '__name__', step)}"
