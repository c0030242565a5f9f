"""What the fixtures of the pytest plugin give out. `pytest_airframe` registers them.

def test_my_agent(airframe_adapter: AdapterMaker, airframe_server: ServerMaker, airframe_cassette: Cassette) -> None:
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pytest

from airframe.testing.cassette import Cassette
from airframe.testing.script import Script
from airframe.testing.scripted import ScriptedAdapter
from airframe.testing.server import FakeServer
from airframe.testing.steps import Step

__all__ = ["AdapterMaker", "ServerMaker", "cassette_path", "open_cassette"]

_SUFFIX = ".cassette"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


class AdapterMaker:
    """The fixture `airframe_adapter`: call it with a script to get an adapter, as often as needed."""

    def __init__(self) -> None:
        self._made: list[ScriptedAdapter] = []

    def __call__(self, script: Script | Iterable[Step] = (), **options: Any) -> ScriptedAdapter:
        """A `ScriptedAdapter`; the options are its own. The test fails if steps are left at its end."""
        adapter = ScriptedAdapter(script, **options)
        self._made.append(adapter)
        return adapter

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for adapter in self._made:
            adapter.assert_played()


class ServerMaker:
    """The fixture `airframe_server`: call it with a script to get a running server, as often as needed."""

    def __init__(self) -> None:
        self._running = ExitStack()

    def __call__(self, script: Script | Iterable[Step] = (), **options: Any) -> FakeServer:
        """A `FakeServer`, started; the options are its own. The test fails if steps are left at its end."""
        return self._running.enter_context(FakeServer(script, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()


@contextmanager
def open_cassette(test: pytest.Item, folder: str, mode: str) -> Generator[Cassette]:
    """The cassette of a test: recorded as `mode` says, saved at the end, checked for being fully played."""
    path = cassette_path(test, folder)
    if mode == "none" and not path.exists():
        pytest.fail(f"{path} is not there; record it: pytest --airframe-record=once {test.nodeid!r}", pytrace=False)
    modes: dict[str, Literal["none", "once", "all"]] = {"none": "none", "once": "once", "all": "all"}
    with Cassette(path, mode=modes[mode]) as cassette:
        yield cassette


def cassette_path(test: pytest.Item, folder: str = "") -> Path:
    """Where the cassette of a test is kept.

    That is `FOLDER/MODULE/TEST.cassette`; by default, the folder is `cassettes` beside the test's file. One recording
    serves every event loop, so the name of the loop is left out of the test's name; the marker `airframe_cassette`
    gives another one.
    """
    root = test.config.rootpath / folder if folder else test.path.parent / "cassettes"
    marker = test.get_closest_marker("airframe_cassette")
    name = str(marker.args[0]) if marker else _name(test)
    return root / test.path.stem / (_NOT_IN_NAMES.sub("_", name).strip("_") + _SUFFIX)


def _name(test: pytest.Item) -> str:
    callspec = getattr(test, "callspec", None)
    if callspec is None or "anyio_backend" not in callspec.params:
        return test.name
    backend = callspec.params["anyio_backend"]
    loop = str(backend if isinstance(backend, str) else backend[0])
    name, _, cases = test.name.rstrip("]").partition("[")
    others = [case for case in cases.split("-") if case != loop]
    return f"{name}[{'-'.join(others)}]" if others else name
