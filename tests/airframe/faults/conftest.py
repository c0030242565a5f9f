"""Every wire format that airframe reads, for the fault suite: a new one joins by a line here and its `Traffic`."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airframe._http.connectors import httpx_connector
from airframe._http.http_transport import HttpTransport
from airframe.adapters import (
    AnthropicAdapter,
    HttpAdapter,
    LlamaServerAdapter,
    OllamaAdapter,
    OpenAIChatAdapter,
    OpenAIResponsesAdapter,
)
from airframe.endpoints import EndpointSpec
from airframe.testing.hostile import FAULTS, TRAFFIC, Connection, Fault, Script, Traffic, Turn, chunk
from airframe.types import InferenceRequest, Message

KEY = "sk-hostile/4f1e+0c7d9b2a6e85"
PROMPT = "a prompt that nobody else should read"


class NativeLlamaServerAdapter(LlamaServerAdapter):
    def __init__(self, **options: Any) -> None:
        super().__init__(api_type="native", **options)


class OverHttpxAdapter(OpenAIChatAdapter):
    """Over httpx's own transport, which otherwise serves for proxies only."""

    def __init__(self, **options: Any) -> None:
        self._over_httpx = HttpTransport(httpx_connector)
        super().__init__(transport=self._over_httpx, **options)

    async def aclose(self) -> None:
        await self._over_httpx.aclose()


BACKENDS: dict[str, tuple[Callable[..., HttpAdapter], str]] = {
    "openai": (OpenAIChatAdapter, "chat"),
    "openai_over_httpx": (OverHttpxAdapter, "chat"),
    "anthropic": (AnthropicAdapter, "anthropic"),
    "ollama": (OllamaAdapter, "ollama"),
    "openai_responses": (OpenAIResponsesAdapter, "responses"),
    "llama_server_native": (NativeLlamaServerAdapter, "llama_completion"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Pairs each backend with every fault that can happen there, in a stream or in a whole answer."""
    for name in {"stream_fault", "whole_fault"} & set(metafunc.fixturenames):
        pairs = [
            pytest.param(backend, fault, id=f"{backend}-{fault.name}")
            for section in FAULTS
            for fault in section
            for backend, (_, wire_format) in BACKENDS.items()
            if fault.happens_in(TRAFFIC[wire_format])
            if (fault.stream if name == "stream_fault" else fault.whole)
        ]
        metafunc.parametrize(("backend", name), pairs, indirect=["backend"])


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a backend."""
    return str(request.param)


@pytest.fixture
def traffic(backend: str) -> Traffic:
    """What the backend says."""
    return TRAFFIC[BACKENDS[backend][1]]


@pytest.fixture
def make_adapter(backend: str) -> Callable[..., HttpAdapter]:
    """The backend's adapter; it takes `timeout`, `max_retries`, `retry` and `limits`."""
    return BACKENDS[backend][0]


@pytest.fixture
def secrets() -> tuple[str, ...]:
    """What no error may show: a key with characters that are written in several ways, and a prompt."""
    return (KEY, PROMPT)


@pytest.fixture
def by_answer(traffic: Traffic) -> Script:
    """A server that answers well."""
    return Fault(lambda turn: turn.answer(turn.body), stream=None, whole=None).script(traffic)


@pytest.fixture
def by_prompt(traffic: Traffic) -> Script:
    """A server on which the prompt decides what happens: `silence`, `stall` after two events, `reset`, or an answer."""

    def script(connection: Connection) -> None:
        body = connection.request.body
        turn = Turn(connection, traffic, traffic.is_stream(connection.request))
        if b'"silence"' in body:
            connection.stall()
        elif b'"stall"' in body:
            connection.send(turn.head() + chunk(turn.beginning))
            connection.stall()
        elif b'"reset"' in body:
            connection.send(turn.head() + chunk(turn.beginning))
            connection.reset()
        else:
            turn.answer(turn.body)

    return script


@pytest.fixture
def question() -> InferenceRequest:
    """A request whose prompt is a secret."""
    return InferenceRequest(messages=[Message("user", PROMPT)], model="m-1")


@pytest.fixture
def endpoint_at() -> Callable[..., EndpointSpec]:
    """Makes an endpoint that carries the key; it takes a base URL and the fields of `EndpointSpec`."""

    def endpoint_at(base_url: str, **fields: Any) -> EndpointSpec:
        return EndpointSpec(base_url=base_url, api_key=KEY, **fields)

    return endpoint_at


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Collects what the module's tests forgot, so that its warnings, which are errors, come in the right place."""
    yield
    gc.collect()
