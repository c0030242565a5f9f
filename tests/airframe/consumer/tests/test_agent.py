"""The agent, under every fixture of airframe's plugin."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from airframe import AirframeError, EndpointSpec, ErrorCategory, OpenAIChatAdapter, ToolCall, create_adapter
from airframe.testing import Answer, Cassette, Failure, Script, Step
from airframe.testing.plugin import AdapterMaker, ServerMaker
from weather_agent import WeatherAgent

pytestmark = pytest.mark.anyio

NOWHERE = EndpointSpec(base_url="http://nowhere.invalid", model="small")
ASKS = Answer(tool_calls=[ToolCall(id="call_1", name="look_up", arguments='{"city": "Oslo"}')])
SCRIPT: list[Step] = [ASKS, "It is raining in Oslo."]


def look_up(city: str) -> str:
    return f"rain in {city}"


async def test_the_agent_looks_up_the_weather(airframe_adapter: AdapterMaker, airframe_no_leaks: None) -> None:
    """Scripted adapter: the model asks, the agent tells it what it found, the model answers."""
    adapter = airframe_adapter(SCRIPT)
    assert await WeatherAgent(adapter, NOWHERE, look_up).answer("Rain?") == "It is raining in Oslo."
    assert [message.role for message in adapter.requests[1].messages] == ["user", "assistant", "tool"]


async def test_the_agent_does_not_hide_failures(airframe_adapter: AdapterMaker) -> None:
    """Scripted failure: a rate limit reaches whoever asked the agent."""
    adapter = airframe_adapter([Failure(ErrorCategory.RATE_LIMIT, retry_after=9)])
    with pytest.raises(AirframeError) as caught:
        await WeatherAgent(adapter, NOWHERE, look_up).answer("Rain?")
    assert caught.value.retry_after == 9


@pytest.mark.parametrize("dialect", ["openai", "openai_responses", "anthropic", "llama_server", "ollama"])
async def test_the_agent_works_with_every_backend(airframe_server: ServerMaker, dialect: str) -> None:
    """Fake server: the same script in every wire format, through the real adapters."""
    server = airframe_server(SCRIPT, dialect=dialect)
    async with create_adapter(dialect) as adapter:
        answer = await WeatherAgent(adapter, server.endpoint(dialect), look_up).answer("Rain?")
    assert answer == "It is raining in Oslo."
    assert [message.text for message in server.requests[0].messages] == ["Rain?"]


def test_another_process_asks_the_server(airframe_server: ServerMaker, airframe_no_leaks: None) -> None:
    """Fake server: a program in another process gets the scripted answer."""
    server = airframe_server(["It is raining."])
    program = (
        "import sys, urllib.request\n"
        "request = urllib.request.Request(sys.argv[1], sys.argv[2].encode())\n"
        "print(urllib.request.urlopen(request).read().decode())"
    )
    body = json.dumps({"messages": [{"role": "user", "content": "Rain?"}]})
    command = [sys.executable, "-c", program, f"{server.base_url}/v1/chat/completions", body]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert answer["choices"][0]["message"]["content"] == "It is raining."


async def test_the_agent_on_recorded_traffic(airframe_cassette: Cassette, airframe_no_leaks: None) -> None:
    """Cassette: recorded once against a backend, replayed for ever, the same on both event loops."""
    endpoint = EndpointSpec(base_url="http://127.0.0.1:8123/v1", model="small")
    async with airframe_cassette, OpenAIChatAdapter(transport=airframe_cassette.transport) as adapter:
        answer = await WeatherAgent(adapter, endpoint, look_up).answer("Is it raining in Oslo?")
    assert answer == "It is raining in Oslo."


def test_the_network_is_closed() -> None:
    """Network guard: nothing but this machine can be reached, and the error says what to do."""
    with pytest.raises(RuntimeError, match=r"192\.0\.2\.1.*airframe_server"):
        socket.create_connection(("192.0.2.1", 443))


@pytest.mark.airframe_live
def test_live_tests_are_left_out() -> None:
    """Marker: what calls a real backend does not run unless it is asked for."""
    raise AssertionError("this needs --airframe-live")


async def test_an_endless_script(airframe_adapter: AdapterMaker) -> None:
    """A script that repeats needs not be counted."""
    agent = WeatherAgent(airframe_adapter(Script(SCRIPT, repeats=True)), NOWHERE, look_up)
    assert [await agent.answer("Rain?") for _ in range(3)] == ["It is raining in Oslo."] * 3
