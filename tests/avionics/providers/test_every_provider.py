"""Every provider keeps the same promises, whichever backend is behind it.

What a backend says is a recording, served over a real socket: the conformance cases of airframe (tests/airframe/cases).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from airframe.endpoints import HealthState
from airframe.errors import AirframeError
from airframe.testing.conformance import ConformanceCase
from airframe.testing.hostile import Connection, HostileServer, head, unused_port
from airframe.types import InferenceResult, Message
from avionics.errors import ERROR_CLASSES, LLMConnectionError, LLMError
from avionics.llm import LLMGateway, LLMProvider, create_llm_provider, providers
from avionics.llm.provider import CompletionProvider
from avionics.llm.registry import known_providers, usual_name
from avionics.settings import Settings

pytestmark = pytest.mark.anyio

QUESTION = [Message("user", "Say it.")]
KEY = "sk-provider-0123456789"
NAME = "mine"


def all_cases() -> Iterator[ConformanceCase]:
    for path in sorted((Path(__file__).parents[2] / "airframe" / "cases").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"provider_case_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield from module.CASES


CASES = {case.name: case for case in all_cases()}
"""Every kind of backend, in each of its wire formats."""


def settings_for(case: ConformanceCase, base_url: str, **described: object) -> Settings:
    """The settings that a user would write for the backend of `case`."""
    kind = "openai" if case.kind == "openai_responses" else case.kind
    options: dict[str, str] = {}
    if "responses" in case.name:
        options["api_type"] = "responses"
    if case.name == "llama_server (native)":
        options["api_type"] = "native"
    if case.name == "anthropic (llama-server)":
        options["version"] = "2023-06-01"
    provider = {
        "kind": kind,
        "base_url": base_url + case.base_path,
        "api_key": KEY,
        "model": "some-model",
        "max_retries": 0,
        "markup": case.markup,
        "options": options,
        **described,
    }
    return Settings(llm_provider=NAME, providers={NAME: provider})


def expected_whole(case: ConformanceCase) -> InferenceResult:
    return case.expected_body or case.expected


def serving(case: ConformanceCase) -> HostileServer:
    """A server that answers as recorded, whole or in pieces as it is asked."""

    def script(connection: Connection) -> None:
        request = connection.request
        path = request.target.partition("?")[0]
        for end, body in case.replies.items():
            if path.endswith(end):
                return _send(connection, body)
        if case.models and path.endswith(case.models[0]):
            return _send(connection, case.models[1])
        if json.loads(request.body or b"{}").get("stream", False):
            content_type = "text/event-stream" if case.framing == "sse" else "application/x-ndjson"
            return _send(connection, case.stream, content_type=content_type)
        return _send(connection, case.body)

    return HostileServer(script)


def refusing(case: ConformanceCase, position: int) -> HostileServer:
    """A server that answers with the error of `case` at `position`."""
    error = case.errors[position]

    def script(connection: Connection) -> None:
        path = connection.request.target.partition("?")[0]
        for end, body in case.replies.items():
            if path.endswith(end):
                return _send(connection, body)
        return _send(connection, error.body, status=error.status)

    return HostileServer(script)


def _send(connection: Connection, body: bytes, *, status: int = 200, content_type: str = "application/json") -> None:
    connection.send(head(status, content_type=content_type, content_length=len(body)) + body)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> ConformanceCase:
    return CASES[request.param]


def provider_for(case: ConformanceCase, base_url: str, **described: object) -> LLMProvider:
    return create_llm_provider(NAME, settings_for(case, base_url, **described))


def test_every_provider_is_tried() -> None:
    """A provider without a backend to be tried on fails this. Two have no HTTP: their tests are beside this one."""
    kinds = {"openai" if case.kind == "openai_responses" else case.kind for case in CASES.values()}
    names = {"gpt_oss": "mlx", "llamacpp": "llama_cpp", "llamaserver": "llama_server", "lmstudio": "lm_studio"}
    assert {names.get(name, name) for name in known_providers()} == kinds | {"llama_cpp", "mock"}


@pytest.mark.parametrize("listed", providers.__all__)
def test_every_provider_is_made_by_its_name(listed: str) -> None:
    """A provider's own name, and its kind, lead to its class."""
    provider: type[LLMProvider] = getattr(providers, listed)
    assert usual_name(provider.kind) == provider.name
    settings = Settings(providers={provider.name: {"kind": provider.kind, "base_url": "http://h", "api_key": "k"}})
    assert provider.kind == "llama_cpp" or type(create_llm_provider(provider.name, settings)) is provider


async def test_complete(case: ConformanceCase) -> None:
    """The answer has all its parts: content, tool calls, reason of the end, tokens."""
    expected = expected_whole(case)
    with serving(case) as server:
        async with provider_for(case, server.base_url) as provider:
            answer = await provider.complete(QUESTION, max_tokens=500)
            stats = provider.get_stats()
    assert (answer.provider, answer.content, answer.text) == (NAME, expected.text, expected.text)
    assert (answer.tool_calls, answer.has_tool_calls) == (expected.tool_calls, bool(expected.tool_calls))
    assert answer.finish_reason is expected.finish_reason
    assert answer.model == (expected.model or "some-model")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (
        expected.usage.input_tokens,
        expected.usage.output_tokens,
    )
    if expected.usage.input_tokens is not None and expected.usage.output_tokens is not None:
        assert answer.tokens_used == expected.usage.input_tokens + expected.usage.output_tokens
    assert answer.metadata["reasoning"] == (expected.reasoning or None)
    assert answer.parsed is None
    if expected.reported_cost is not None:
        assert answer.cost == expected.reported_cost
    assert answer.cost is None or isinstance(answer.cost, Decimal)
    assert (stats.requests, stats.answers) == (1, 1)


async def test_stream_complete(case: ConformanceCase) -> None:
    """The pieces are the text, the last one says so, and the stream's result is the whole answer."""
    with serving(case) as server:
        async with provider_for(case, server.base_url) as provider:
            async with provider.stream_complete(QUESTION, max_tokens=500) as stream:
                chunks = [chunk async for chunk in stream]
            answer = stream.result
    assert "".join(chunk.text for chunk in chunks) == case.expected.text
    assert [chunk.is_final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert (answer.content, answer.tool_calls) == (case.expected.text, case.expected.tool_calls)
    assert answer.finish_reason is case.expected.finish_reason
    assert chunks[-1].metadata["tool_calls"] == case.expected.tool_calls


async def test_generate(case: ConformanceCase) -> None:
    """The text alone, whole and in pieces."""
    with serving(case) as server:
        async with provider_for(case, server.base_url) as provider:
            assert await provider.generate(None, "Say it.") == expected_whole(case).text
            pieces = [chunk.text async for chunk in provider.generate_stream(None, "Say it.")]
    assert "".join(pieces) == case.expected.text


async def test_errors(case: ConformanceCase) -> None:
    """Each error of the backend is the class of its category, with its status, and airframe's error as the cause."""
    for position, error in enumerate(case.errors):
        with refusing(case, position) as server:
            async with provider_for(case, server.base_url) as provider:
                with pytest.raises(LLMError) as caught:
                    await provider.complete(QUESTION, max_tokens=500)
        assert type(caught.value) is ERROR_CLASSES[error.category]
        assert (caught.value.category, caught.value.status) == (error.category, error.status)
        assert isinstance(caught.value.__cause__, AirframeError)
        assert KEY not in str(caught.value)


async def test_a_server_that_is_gone(case: ConformanceCase) -> None:
    """A call raises a connection error, and the health is a report."""
    async with provider_for(case, f"http://127.0.0.1:{unused_port()}") as provider:
        assert (await provider.health_check()).state is HealthState.UNREACHABLE
        with pytest.raises(LLMConnectionError):
            await provider.complete(QUESTION, max_tokens=500)


async def test_the_models_are_listed(case: ConformanceCase) -> None:
    """By the names that calls use."""
    if case.models is None:
        pytest.skip("the case has no list of models")
    with serving(case) as server:
        async with provider_for(case, server.base_url) as provider:
            assert [model.id for model in await provider.list_models()] == list(case.models[2])


async def test_key_and_headers_reach_the_backend(case: ConformanceCase) -> None:
    """What the settings say of the endpoint is sent with each request."""
    with serving(case) as server:
        async with provider_for(case, server.base_url, headers={"X-Team": "blue"}) as provider:
            await provider.complete(QUESTION, max_tokens=500)
        headers = server.requests[-1].headers
    assert any(KEY in value for value in headers.values())
    assert headers["x-team"] == "blue"


async def test_the_gateway_asks_it(case: ConformanceCase) -> None:
    """A provider under a name of the user's own is one of the gateway's, whole and streamed."""
    with serving(case) as server:
        async with LLMGateway(settings_for(case, server.base_url), observers=[]) as gateway:
            response = await gateway.complete("Say it.", max_tokens=500)
            async with gateway.complete_stream("Say it.", max_tokens=500) as stream:
                pieces = [chunk.text async for chunk in stream]
    assert (response.provider, response.text) == (NAME, expected_whole(case).text)
    assert "".join(pieces) == case.expected.text


async def test_it_is_what_the_protocol_asks_for(case: ConformanceCase) -> None:
    """The two methods are there for everybody who checks."""
    assert isinstance(provider_for(case, "http://127.0.0.1:9"), CompletionProvider)
