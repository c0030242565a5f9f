"""Discovery and chats on real servers: llama.cpp always, and those that the environment names (see test_local_servers).

AIRFRAME_OLLAMA_URL and AIRFRAME_MLX_URL are roots of running servers.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.tiny_model import REPLY
from airframe.types import Message, ToolSpec
from avionics.errors import LLMContextLengthError
from avionics.llm import Chat, Conversation, LLMConfig, LLMFactory, ModelRegistry, create_llm_provider
from avionics.llm.catalog import FoundServer
from avionics.settings import Settings

pytestmark = pytest.mark.anyio

BRIEF = LLMConfig(temperature=0.0, max_tokens=120)


async def found_at(url: str) -> FoundServer:
    (server,) = await ModelRegistry().discover([url], usual=(), patience=20.0)
    return server


async def chat_with(id: str) -> tuple[LLMFactory, Chat]:
    factory = LLMFactory(Settings())
    return factory, factory.create_llm(id, BRIEF)


class TestLlamaServer:
    """llama.cpp's server with the scripted model: two slots of 2048 tokens."""

    async def test_it_is_found_with_what_it_has(self, llama_server: LlamaServerProcess) -> None:
        """Window of a slot, load state, template, tools and modalities, by its own account."""
        server = await found_at(llama_server.base_url)
        (model,) = server.models
        assert (server.runtime, model.context_window, model.loaded) == ("llama_server", 2048, True)
        assert [model.supports(ability) for ability in ("tools", "vision", "structured_output")] == [True, False, True]
        assert "messages" in (model.chat_template or "")

    async def test_what_was_found_can_be_talked_to(self, llama_server: LlamaServerProcess) -> None:
        """The id of a model is all that a chat needs; it remembers, streams and counts."""
        (model,) = (await found_at(llama_server.base_url)).models
        factory, talk = await chat_with(model.id)
        async with factory:
            first = await talk.send_user_message("Hi")
            async with talk.stream_user_message("And again?") as stream:
                pieces = [chunk.text async for chunk in stream]
        assert (first.content, "".join(pieces)) == (REPLY, REPLY)
        assert len(pieces) > 5
        assert [message.role for message in talk.conversation.history] == ["user", "assistant"] * 2
        used = talk.usage.usage
        assert (talk.usage.calls, talk.usage.cost_usd, talk.usage.calls_without_cost) == (2, Decimal(0), 0)
        assert (used.input_tokens or 0) > (first.usage.input_tokens or 0) * 2

    async def test_an_agent_calls_a_tool_and_goes_on(self, llama_server: LlamaServerProcess, tmp_path: Path) -> None:
        """Call, result, answer; and a conversation that was saved in between goes on in another chat."""
        (model,) = (await found_at(llama_server.base_url)).models
        factory, talk = await chat_with(model.id)
        async with factory:
            weather = ToolSpec(
                name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}}
            )
            (call,) = (await talk.send_user_message("Weather in Oslo?", tools=[weather])).tool_calls
            assert (call.name, call.parsed_arguments) == ("get_weather", {"city": "Oslo"})
            talk.conversation.add_tool_message(call.id, "rain")
            talk.conversation.save(tmp_path / "talk.json")
            again = Chat(
                talk.provider, model=model.name, config=BRIEF, conversation=Conversation.load(tmp_path / "talk.json")
            )
            assert (await again.invoke(tools=[weather])).content == REPLY

    async def test_a_prompt_beyond_the_window_is_refused_by_the_catalog_first(
        self, llama_server: LlamaServerProcess
    ) -> None:
        """What discovery learned holds for calls: the estimate is told, and the server is not asked."""
        settings = Settings(llamaserver_host=llama_server.base_url)
        async with create_llm_provider("llamaserver", settings) as provider:
            await provider.catalog.discover(usual=(), patience=20.0)
            with pytest.raises(LLMContextLengthError, match=r"by our estimate, and .* has a window of 2048"):
                await provider.complete([Message("user", "word" * 4000)], model="tiny")


@pytest.mark.parametrize(("runtime", "variable"), [("ollama", "AIRFRAME_OLLAMA_URL"), ("mlx", "AIRFRAME_MLX_URL")])
async def test_other_local_servers_are_found_and_talked_to(runtime: str, variable: str) -> None:
    """Told apart by their own words, and asked by the id of what they list."""
    url = os.environ.get(variable, "").partition(" ")[0]
    if not url:
        pytest.skip(f"{variable} names no server")
    server = await found_at(url)
    assert server.runtime == runtime
    factory, talk = await chat_with(server.models[0].id)
    async with factory:
        answer = await talk.send_user_message("Hi")
    assert answer.content
    assert answer.warnings == ()


async def test_what_ollama_cuts_off_is_noticed() -> None:
    """A prompt longer than the context that was asked for is answered in silence, and warned about."""
    url = os.environ.get("AIRFRAME_OLLAMA_URL", "").partition(" ")[0]
    if not url:
        pytest.skip("AIRFRAME_OLLAMA_URL names no server")
    factory, talk = await chat_with((await found_at(url)).models[0].id)
    async with factory:
        talk.conversation.add_user_message("word " * 3000)
        talk.conversation.add_assistant_message("Yes?")
        answer = await talk.send_user_message("Hi", extra_params={"options": {"num_ctx": 256}})
    assert ["messages" in warning.subject for warning in answer.warnings] == [True]
