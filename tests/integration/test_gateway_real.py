"""The gateway over real sockets: a real llama.cpp server, and first providers that are really down or really broken."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from functools import partial
from typing import cast

import pytest

from airframe.errors import AirframeError, ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.mutators import cut_after
from airframe.testing.server import FakeServer
from airframe.testing.tiny_model import REPLY
from airframe.types import ReasoningOptions
from avionics.errors import AllAttemptsFailedError, LLMError
from avionics.llm import LLMGateway, LLMResponse, create_llm_provider
from avionics.llm.records import AttemptFinished
from avionics.llm.requests import RequestOptions
from avionics.settings import Settings, get_settings, reset_settings

pytestmark = pytest.mark.anyio

KEY = "sk-made-up-for-this-test"
UNAVAILABLE = Failure(ErrorCategory.OVERLOADED)
CUT_BEFORE_THE_FIRST_TOKEN = Answer(text="The sky", faults=cut_after(bytes=100))
CUT_AFTER_THE_SECOND_TOKEN = Answer(
    chunks=["The ", "sky", " is blue."], model="gpt-4.1-mini-2025-04-14", faults=cut_after(events=3)
)


@contextmanager
def server_that_says(answer: Step) -> Generator[str]:
    """An OpenAI on loopback that is asked once."""
    with FakeServer([answer], dialect="openai") as server:
        yield f"{server.base_url}/v1"


@contextmanager
def nobody() -> Generator[str]:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound and not listening: refused, and taken by nobody else meanwhile
        yield f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def gateway_over(first: str, fallback: str) -> LLMGateway:
    """A gateway whose first provider is "OpenAI" at `first`, and whose fallback is a llama.cpp server at `fallback`."""
    settings = Settings(
        llm_provider="openai",
        llm_fallback_providers=["llamaserver"],
        openai_base_url=first,
        openai_api_key=KEY,
        llamaserver_host=fallback,
        llm_max_retries=0,
        default_temperature=0.0,
    )
    return LLMGateway(settings, observers=[])


async def ask(gateway: LLMGateway, *, streamed: bool) -> LLMResponse:
    """The answer, in one of the two ways to ask."""
    options: RequestOptions = {"max_tokens": 120, "reasoning": ReasoningOptions(enabled=False)}
    if not streamed:
        return await gateway.complete("Hi", **options)
    async with gateway.complete_stream("Hi", **options) as stream:
        text = "".join([chunk.text async for chunk in stream])
        assert text == stream.response.text
        return stream.response


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("first", "category", "status"),
    [
        (nobody, ErrorCategory.CONNECTION, None),
        (partial(server_that_says, UNAVAILABLE), ErrorCategory.OVERLOADED, 503),
        (partial(server_that_says, CUT_BEFORE_THE_FIRST_TOKEN), ErrorCategory.PROTOCOL, 200),
    ],
    ids=["closed port", "503", "cut before the first token"],
)
async def test_the_fallback_answers_when_the_first_provider_is_down_or_broken(
    llama_server: LlamaServerProcess,
    first: Callable[[], AbstractContextManager[str]],
    category: ErrorCategory,
    status: int | None,
    streamed: bool,
) -> None:
    """The real server's answer comes whole and free, and the failure before it is on record with its price."""
    with first() as address:
        async with gateway_over(address, llama_server.base_url) as gateway:
            response = await ask(gateway, streamed=streamed)
    assert (response.text, response.provider) == (REPLY, "llamaserver")
    failed, answered = cast("tuple[AttemptFinished, AttemptFinished]", response.metadata["attempts"])
    # A backend that said 200 has read the prompt, and will bill it: "Hi" is a token, at 0.40 USD for a million.
    billed = Decimal("0.0000004") if status == 200 else Decimal(0)
    assert (response.cost_usd, answered.cost_usd) == (billed, Decimal(0))
    assert answered.usage is not None
    assert (answered.usage.input_tokens, answered.usage.output_tokens) == (21, 20)
    assert (failed.provider, failed.category, failed.status) == ("openai", category, status)
    assert (answered.reason, answered.category, answered.status) == ("fallback", None, 200)


async def test_a_stream_cut_after_its_first_token_keeps_text_tokens_and_cost(llama_server: LlamaServerProcess) -> None:
    """What was delivered cannot be taken back: no fallback, and an error that holds what was said and what it cost."""
    with server_that_says(CUT_AFTER_THE_SECOND_TOKEN) as address:
        async with gateway_over(address, llama_server.base_url) as gateway:
            stream = gateway.complete_stream("Why is the sky blue?")
            assert [(await anext(stream)).text for _ in range(2)] == ["The ", "sky"]
            with pytest.raises(LLMError) as caught:
                await anext(stream)
    error = caught.value
    assert not isinstance(error, AllAttemptsFailedError)
    assert (error.provider, error.partial_text) == ("openai", "The sky")
    # 20 bytes of prompt at four to a token, two pieces; gpt-4.1-mini at 0.40 and 1.60 USD for a million tokens.
    assert (error.prompt_tokens, error.completion_tokens, error.usage_source) == (5, 2, "estimated")
    assert error.cost_usd == Decimal("0.0000052")
    assert isinstance(error.__cause__, AirframeError)
    assert error.__cause__.committed


async def test_when_the_real_fallback_is_down_too_both_causes_are_told() -> None:
    """The error lists both providers with their category."""
    with server_that_says(UNAVAILABLE) as first, nobody() as second:
        async with gateway_over(first, second.removesuffix("/v1")) as gateway:
            with pytest.raises(AllAttemptsFailedError, match=r"openai: overloaded: .*; llamaserver: connection: "):
                await gateway.complete("Hi")


async def test_errors_of_real_backends_never_show_the_key() -> None:
    """Neither the error nor what caused it contains the key."""
    with server_that_says(UNAVAILABLE) as first, nobody() as second:
        async with gateway_over(first, second.removesuffix("/v1")) as gateway:
            with pytest.raises(AllAttemptsFailedError) as caught:
                await gateway.complete("Hi")
    assert KEY not in repr(caught.value) + str(vars(caught.value)) + repr(caught.value.__cause__)


class TestUsageAsDocumented:
    """The examples of the README, on a real server."""

    @pytest.fixture(autouse=True)
    def configured(self, llama_server: LlamaServerProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """The environment names the server; settings are read anew."""
        monkeypatch.setenv("AVIONICS_LLAMASERVER_HOST", llama_server.base_url)
        reset_settings()
        yield
        reset_settings()

    async def test_a_provider_generates(self) -> None:
        """A provider made from the settings answers a prompt."""
        provider = create_llm_provider("llamaserver", get_settings())
        text = await provider.generate(
            model="qwen2.5-7b", prompt="What is 2+2?", options={"temperature": 0.3, "num_predict": 100}
        )
        assert "scripted model" in text
        await provider.close()

    async def test_the_gateway_answers_and_streams(self) -> None:
        """A response has every documented field, and chunks come up to one final one."""
        gateway = LLMGateway(get_settings(), fallback_providers=["openai"])
        response = await gateway.complete(
            prompt="Analyze this code", system="You are a code reviewer", agent_name="planner", temperature=0.3
        )
        assert response.text
        assert (response.cost_usd, response.provider) == (Decimal(0), "llamaserver")
        assert response.prompt_tokens
        assert response.completion_tokens
        assert response.tokens_used == response.prompt_tokens + response.completion_tokens
        assert response.latency_ms > 0
        assert response.model
        finals: list[bool] = []
        counts: list[int] = []
        async for chunk in gateway.complete_stream(prompt="Explain Python decorators", agent_name="synthesizer"):
            finals.append(chunk.is_final)
            counts.append(chunk.cumulative_tokens)
        assert finals == [False] * (len(finals) - 1) + [True]
        assert counts == sorted(counts)
        await gateway.aclose()


async def test_a_real_model_continues_an_answer_that_broke(llama_server: LlamaServerProcess) -> None:
    """llama.cpp takes the beginning as its own, and goes on in the middle of the sentence."""
    begun, rest = REPLY[:20], REPLY[20:]
    with server_that_says(Answer(chunks=[begun[:12], begun[12:], " never said"], faults=cut_after(events=3))) as first:
        settings = Settings(
            providers={
                "openai": {"base_url": first, "api_key": KEY, "max_retries": 0},
                "llamaserver": {"base_url": llama_server.base_url},
            },
            agents={"default": {"route": "r"}},
            routing={
                "routes": {
                    "r": {
                        "deployments": [{"provider": "openai"}, {"provider": "llamaserver"}],
                        "stream": {"continue_broken": True},
                    }
                }
            },
        )
        async with LLMGateway(settings, observers=[]) as gateway:
            response = await ask(gateway, streamed=True)
    assert response.text == begun + rest
    assert response.metadata["continued"] == 1
    attempts = cast("tuple[AttemptFinished, ...]", response.metadata["attempts"])
    assert [attempt.reason for attempt in attempts] == ["first", "continuation"]
