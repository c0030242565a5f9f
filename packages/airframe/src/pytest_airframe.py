"""airframe's plugin for pytest: fixtures, markers and options. What they do stands in `airframe.testing.plugin`.

Every run of pytest loads this module wherever airframe is installed, so it imports nothing of airframe (not even the
package it would be in) before a test asks for a fixture or the settings ask for the network guard.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airframe.testing.cassette import Cassette
    from airframe.testing.network_guard import NetworkGuard
    from airframe.testing.plugin import AdapterMaker, ServerMaker

_GUARD: pytest.StashKey[NetworkGuard] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and settings."""
    group = parser.getgroup("airframe")
    group.addoption("--airframe-live", action="store_true", help="run the tests that call real backends")
    group.addoption(
        "--airframe-record",
        choices=("none", "once", "all"),
        default="none",
        help="what airframe_cassette records: nothing (default), what has no file yet, or everything anew",
    )
    parser.addini("airframe_block_network", "let sockets connect to this machine only", type="bool", default=False)
    parser.addini("airframe_cassettes", "folder of all cassettes; by default `cassettes` beside each test", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Declare markers, and put up the network guard where it is wanted."""
    config.addinivalue_line("markers", "airframe_live: calls a real backend; runs with --airframe-live only")
    config.addinivalue_line("markers", "airframe_cassette(name): the name of the test's cassette, without its ending")
    if config.getini("airframe_block_network"):
        from airframe.testing.network_guard import NetworkGuard

        config.stash[_GUARD] = NetworkGuard()
        config.stash[_GUARD].install()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the network guard down."""
    if guard := config.stash.get(_GUARD, None):
        guard.uninstall()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what calls real backends, unless it is wanted."""
    if config.getoption("airframe_live"):
        return
    for item in items:
        if item.get_closest_marker("airframe_live"):
            item.add_marker(pytest.mark.skip(reason="calls a real backend; run it with --airframe-live"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let tests through the network guard that call or record real backends."""
    guard = item.config.stash.get(_GUARD, None)
    if guard is None:
        return (yield)
    live = item.get_closest_marker("airframe_live") is not None
    records = _mode(item.config) != "none" and "airframe_cassette" in getattr(item, "fixturenames", ())
    with guard.lifted(live or records):
        return (yield)


@pytest.fixture
def airframe_adapter() -> Iterator[AdapterMaker]:
    """Call it with a script to get a `ScriptedAdapter`, as often as needed. The scripts must be played to the end."""
    from airframe.testing.plugin import AdapterMaker

    with AdapterMaker() as make:
        yield make


@pytest.fixture
def airframe_server() -> Iterator[ServerMaker]:
    """Call it with a script to start a `FakeServer`, as often as needed. The scripts must be played to the end."""
    from airframe.testing.plugin import ServerMaker

    with ServerMaker() as make:
        yield make


@pytest.fixture
def airframe_cassette(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """The `Cassette` of the test; what is recorded, `--airframe-record` says."""
    from airframe.testing.plugin import open_cassette

    with open_cassette(request.node, request.config.getini("airframe_cassettes"), _mode(request.config)) as cassette:
        yield cassette


@pytest.fixture
def airframe_no_leaks(request: pytest.FixtureRequest) -> None:
    """Fails the test if it leaves streams, connections or tasks behind."""
    from airframe.testing.leaks import checked_for_leaks

    request.node.obj = checked_for_leaks(request.node.obj)


def _mode(config: pytest.Config) -> str:
    return str(config.getoption("airframe_record"))
