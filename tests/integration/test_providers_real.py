"""Providers on a real llama.cpp: its server in each of the dialects that it speaks, and the model in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.tiny_model import REPLY
from airframe.types import FinishReason, Message, ToolSpec
from avionics.errors import LLMContextLengthError
from avionics.llm import LLMFactory, LLMProvider, create_llm_provider
from avionics.llm.sync import SyncProvider
from avionics.settings import Settings

pytestmark = pytest.mark.anyio

QUESTION = [Message("user", "Hi")]
DIALECTS: dict[str, dict[str, object]] = {
    "native": {"kind": "llama_server", "options": {"api_type": "native"}},
    "chat": {"kind": "llama_server", "options": {"api_type": "openai"}},
    "responses": {"kind": "openai", "options": {"api_type": "responses"}},
    "messages": {"kind": "anthropic", "options": {"version": "2023-06-01"}},
    "any chat": {"kind": "openai_compatible"},
    "in process": {"kind": "llama_cpp"},
}


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def provider(dialect: str, llama_server: LlamaServerProcess, tiny_model: Path) -> AsyncIterator[LLMProvider]:
    described = {"model": "tiny", "context_window": 2048, **DIALECTS[dialect]}
    described |= {"model_path": tiny_model} if dialect == "in process" else {"base_url": f"{llama_server.base_url}/v1"}
    async with create_llm_provider("mine", Settings(providers={"mine": described})) as made:
        yield made


async def test_the_same_answer_in_every_dialect(provider: LLMProvider) -> None:
    """The text, the reason of its end and the counts are the backend's, whole and streamed."""
    answer = await provider.complete(QUESTION, temperature=0, max_tokens=200)
    assert (answer.content, answer.finish_reason) == (REPLY, FinishReason.STOP)
    assert answer.usage.input_tokens
    assert answer.usage.output_tokens
    assert answer.tokens_used == answer.usage.input_tokens + answer.usage.output_tokens
    async with provider.stream_complete(QUESTION, temperature=0, max_tokens=200) as stream:
        pieces = [chunk.text async for chunk in stream]
    assert "".join(pieces) == REPLY
    assert len(pieces) > 5
    assert stream.result.usage.output_tokens == answer.usage.output_tokens
    assert (await provider.health_check()).healthy


async def test_a_tool_call_in_every_dialect_that_has_tools(provider: LLMProvider, dialect: str) -> None:
    """The model calls the tool that it is offered; llama.cpp's own API has none, and says so."""
    tool = ToolSpec(name="get_weather", description="Weather", parameters={"type": "object", "properties": {}})
    answer = await provider.complete(QUESTION, tools=[tool], temperature=0, max_tokens=200)
    if dialect == "native":
        assert "tools" in {warning.subject for warning in answer.warnings}
        return
    assert answer.has_tool_calls
    assert answer.tool_calls[0].name == "get_weather"
    assert answer.finish_reason is FinishReason.TOOL_CALLS


async def test_a_prompt_that_is_too_long_in_every_dialect(provider: LLMProvider) -> None:
    """It is told apart from other mistakes, wherever it is noticed."""
    with pytest.raises(LLMContextLengthError):
        await provider.complete([Message("user", "word " * 5000)], max_tokens=5)


class Colour(BaseModel):
    name: str


async def test_an_object_is_asked_for_by_schema(llama_server: LlamaServerProcess) -> None:
    """llama.cpp's grammar holds the model to it."""
    settings = Settings(llamaserver_host=llama_server.base_url)
    async with create_llm_provider("llamaserver", settings) as provider:
        answer = await provider.complete(
            [Message("user", "Name a colour.")], output_type=Colour, temperature=0, max_tokens=400
        )
    assert isinstance(answer.parsed, Colour)


async def test_a_chat_by_the_id_of_a_running_model(llama_server: LlamaServerProcess) -> None:
    """`name:runtime@host:port` is all that has to be known."""
    address = llama_server.base_url.removeprefix("http://")
    async with LLMFactory(Settings()) as factory:
        chat = factory.create_llm(f"tiny:llama_server@{address}")
        assert (await chat.send_user_message("Hi", temperature=0)).content == REPLY


def test_without_an_event_loop(llama_server: LlamaServerProcess) -> None:
    """The synchronous facade streams from a real server, call after call."""
    settings = Settings(llamaserver_host=llama_server.base_url)
    with SyncProvider(create_llm_provider("llamaserver", settings)) as provider:
        for _ in range(2):
            stream = provider.stream_complete(QUESTION, temperature=0)
            assert "".join(chunk.text for chunk in stream) == REPLY
