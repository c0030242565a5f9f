"""The pytest plugin, in test runs of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

IMPORTS = """
import socket
import anyio, pytest
from airframe import EndpointSpec, InferenceRequest, Message, OpenAIChatAdapter
from airframe.testing import Answer
ENDPOINT = EndpointSpec(base_url="http://nowhere.invalid")
HI = InferenceRequest(messages=[Message("user", "Hi")])
"""
ON_ASYNCIO = """
@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
ON_BOTH = """
@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param
"""


def check(pytester: pytest.Pytester, source: str, *arguments: str, **outcomes: int) -> str:
    """Runs a test module and gives the output."""
    pytester.makepyfile(IMPORTS + source)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
    result.assert_outcomes(**outcomes)
    return str(result.stdout)


# -- it costs nothing


def test_an_unused_plugin_imports_nothing(tmp_path: Path) -> None:
    """A run that uses nothing of airframe loads one small module and no package."""
    test = tmp_path / "test_other.py"
    test.write_text("def test(): pass")
    script = (
        "import sys, pytest\n"
        "status = pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:anyio', sys.argv[1]])\n"
        "print('loaded:', *sorted(n for n in sys.modules if n.partition('.')[0] in\n"
        "    {'airframe', 'pytest_airframe', 'httpx', 'pydantic'}))\n"
        "sys.exit(status)"
    )
    command = [sys.executable, "-c", script, str(test)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: pytest_airframe"


# -- adapters and servers


def test_an_adapter_is_played_to_its_end(pytester: pytest.Pytester) -> None:
    """Scripts answer on both event loops, and one that is not played fails the test that left it."""
    source = """
@pytest.mark.anyio
async def test_played(airframe_adapter):
    adapter = airframe_adapter(["Rain."])
    assert (await adapter.infer(ENDPOINT, HI)).text == "Rain."

def test_unplayed(airframe_adapter):
    airframe_adapter(["Rain."])
"""
    output = check(pytester, ON_BOTH + source, passed=3, errors=1)
    assert "1 of 1 steps are left" in output


def test_a_server_is_played_to_its_end(pytester: pytest.Pytester) -> None:
    """A server runs as long as its test, and a script that is not played fails it."""
    source = """
@pytest.mark.anyio
async def test_played(airframe_server):
    server = airframe_server(["Rain."], dialect="openai")
    async with OpenAIChatAdapter() as adapter:
        assert (await adapter.infer(server.endpoint(), HI)).text == "Rain."

def test_unplayed(airframe_server):
    airframe_server(["Rain."])
"""
    output = check(pytester, ON_BOTH + source, passed=3, errors=1)
    assert "1 of 1 steps are left" in output


# -- cassettes

RECORDED = """
from airframe.testing.server import FakeServer

@pytest.mark.anyio
async def test_weather(airframe_cassette):
    with FakeServer(["Rain."] if airframe_cassette.recording else [], port=PORT) as server:
        async with airframe_cassette, OpenAIChatAdapter(transport=airframe_cassette.transport) as adapter:
            assert (await adapter.infer(server.endpoint(), HI)).text == "Rain."
"""


@pytest.fixture
def recorded(unused_tcp_port: int) -> str:
    return RECORDED.replace("PORT", str(unused_tcp_port))


@pytest.fixture
def unused_tcp_port() -> int:
    from airframe.testing.hostile import unused_port

    return unused_port()


def test_a_cassette_is_recorded_once_and_replayed(pytester: pytest.Pytester, recorded: str) -> None:
    """One file, named after the test, serves both event loops; without the option, nothing is recorded."""
    output = check(pytester, ON_BOTH + recorded, failed=0, errors=2)
    assert "test_weather.cassette is not there; record it: pytest --airframe-record=once" in output
    check(pytester, ON_BOTH + recorded, "--airframe-record=once", passed=2)
    module = "test_a_cassette_is_recorded_once_and_replayed"
    assert [path.relative_to(pytester.path).as_posix() for path in pytester.path.rglob("*.cassette")] == [
        f"cassettes/{module}/test_weather.cassette"
    ]
    check(pytester, ON_BOTH + recorded, passed=2)


def test_a_cassette_has_the_folder_and_name_it_is_given(pytester: pytest.Pytester, recorded: str) -> None:
    """The setting `airframe_cassettes` moves all cassettes, the marker names a single one."""
    pytester.makeini("[pytest]\nairframe_cassettes = tapes")
    source = recorded.replace("@pytest", "@pytest.mark.airframe_cassette('sun')\n@pytest", 1)
    check(pytester, ON_ASYNCIO + source, "--airframe-record=all", passed=1)
    (path,) = pytester.path.rglob("*.cassette")
    assert path.relative_to(pytester.path).parts[0] == "tapes"
    assert path.name == "sun.cassette"


def test_cases_of_a_test_have_cassettes_of_their_own(pytester: pytest.Pytester, recorded: str) -> None:
    """What a test is run with is part of the name, the event loop is not."""
    source = recorded.replace("@pytest", "@pytest.mark.parametrize('city', ['Oslo', 'New York'])\n@pytest", 1)
    source = source.replace("(airframe_cassette)", "(airframe_cassette, city)")
    check(pytester, ON_BOTH + source, "--airframe-record=once", passed=4)
    assert sorted(path.name for path in pytester.path.rglob("*.cassette")) == [
        "test_weather_New_York.cassette",
        "test_weather_Oslo.cassette",
    ]


# -- the network

REACHING = """
def test_fenced():
    with pytest.raises(RuntimeError, match="192.0.2.1.*only loopback.*airframe_server"):
        socket.getaddrinfo("192.0.2.1", 443)

@pytest.mark.airframe_live
def test_live():
    assert socket.getaddrinfo("192.0.2.1", 443)
"""


def test_the_network_is_blocked_except_for_live_tests(pytester: pytest.Pytester) -> None:
    """With the setting, only a test marked `airframe_live` reaches out, and only when it is wanted."""
    pytester.makeini("[pytest]\nairframe_block_network = true")
    pytester.makepyfile(IMPORTS + REACHING)
    # In a process of their own: in this one, the fence of this project stands around theirs.
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines("*run it with --airframe-live*")
    pytester.runpytest_subprocess("--airframe-live").assert_outcomes(passed=2)


def test_the_network_is_open_without_the_setting(pytester: pytest.Pytester) -> None:
    """The plugin blocks nothing unless it is told to."""
    pytester.makepyfile("import socket\n\ndef test_open():\n    assert socket.getaddrinfo('192.0.2.1', 443)")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


# -- leaks

LEAKS = {
    "a stream that was neither read to its end nor closed": """
kept = []

@pytest.mark.anyio
async def test_it(airframe_no_leaks, airframe_adapter):
    kept.append(airframe_adapter([Answer(chunks=["Ra", "in."])]).stream_infer(ENDPOINT, HI))
    await anext(kept[-1])
""",
    "a connection to 127.0.0.1": """
kept = OpenAIChatAdapter()

@pytest.mark.anyio
async def test_it(airframe_no_leaks, airframe_server):
    await kept.infer(airframe_server(["Rain."]).endpoint(), HI)
""",
    "a task that still runs: *forever": """
@pytest.fixture
async def tasks(anyio_backend):
    async with anyio.create_task_group() as tasks:
        yield tasks
        tasks.cancel_scope.cancel()

@pytest.mark.anyio
async def test_it(tasks, airframe_no_leaks):
    async def forever():
        await anyio.sleep_forever()

    tasks.start_soon(forever)
""",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_fails_the_test(pytester: pytest.Pytester, leak: str) -> None:
    """What a test leaves open is named."""
    pytester.makepyfile(IMPORTS + ON_BOTH + LEAKS[leak])
    # In a process of their own, with which their leaks end.
    result = pytester.runpytest_subprocess("-W", "ignore")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines([f"*the test leaves something behind: {leak}*"] * 2)


def test_whoever_closes_leaks_nothing(pytester: pytest.Pytester) -> None:
    """Streams that are read or closed, adapters that are closed and tasks that end are no leaks, on both loops."""
    source = """
@pytest.mark.anyio
async def test_async(airframe_server, airframe_no_leaks, airframe_adapter):
    server = airframe_server([Answer(chunks=["Ra", "in."])] * 2)
    async with OpenAIChatAdapter() as adapter, anyio.create_task_group() as tasks:
        async with adapter.stream_infer(server.endpoint(), HI) as kept:
            await anext(kept)
        tasks.start_soon(adapter.infer, server.endpoint(), HI)
    stream = airframe_adapter(["Rain."]).stream_infer(ENDPOINT, HI)
    assert [event.type async for event in stream][-1] == "done"

def test_sync(airframe_no_leaks):
    pass
"""
    check(pytester, ON_BOTH + source, passed=3)


@pytest.fixture(autouse=True)
def settings_of_nobody(pytester: pytest.Pytester) -> None:
    """The runs read no settings of the project around them, wherever temporary files lie."""
    pytester.makeini("[pytest]\n")
