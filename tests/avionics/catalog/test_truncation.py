"""A local server that cuts a prompt in silence is found out by what it counts. The server here counts 400 tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airframe.types import Message
from avionics.llm import ModelRegistry, ModelSpec

pytestmark = pytest.mark.anyio

Ask = Callable[..., Any]


def words(tokens: int) -> list[Message]:
    """A prompt of about so many tokens."""
    return [Message("user", "word" * tokens)]


async def test_far_fewer_tokens_than_were_sent_are_warned_about(ask: Ask) -> None:
    """The warning has both numbers, says which one is an estimate, and what helps."""
    asked = await ask("ollama", "qwen3:4b", messages=words(1000))
    assert asked.subjects == ["messages"]
    assert "counted 400 tokens of prompt, where by our estimate about 1000 were sent" in asked.words
    assert "load the model with a larger context" in asked.words


async def test_what_an_estimate_may_be_wrong_by_is_not(ask: Ask) -> None:
    """Half as much again is no proof."""
    assert (await ask("ollama", "qwen3:4b", messages=words(600))).subjects == []


async def test_a_prompt_longer_than_the_loaded_context_is_warned_about(ask: Ask) -> None:
    """A server that answers to more than it holds has cut something, however near the numbers are."""
    asked = await ask("ollama", "qwen3:4b", messages=words(600), context_window=450)
    assert "to a context of 450" in asked.words


async def test_servers_that_refuse_long_prompts_are_believed(ask: Ask) -> None:
    """OpenAI answers a prompt that is too long with an error; few tokens there are no sign."""
    assert (await ask("openai", "gpt-4.1", messages=words(1000))).subjects == []


class TestContextOfOllama:
    """Ollama is told how much context to load: its own default is small, and it cuts without a word."""

    async def test_it_is_large_enough_for_prompt_and_answer(self, ask: Ask) -> None:
        """The next power of two, so that a conversation that grows seldom loads the model anew."""
        asked = await ask("ollama", "qwen3:4b", messages=words(5000), max_tokens=1000)
        assert asked.body["options"]["num_ctx"] == 8192
        assert (await ask("ollama", "qwen3:4b")).body["options"]["num_ctx"] == 4096

    async def test_a_loaded_context_that_will_do_is_kept(self, ask: Ask) -> None:
        """Another number would load the model again."""
        spec = ModelSpec(id="ollama:m", name="m", provider="ollama", loaded_context=6000, context_window=40_000)
        registry = ModelRegistry([spec])
        assert (await ask("ollama", "m", registry=registry)).body["options"]["num_ctx"] == 6000
        asked = await ask("ollama", "m", registry=registry, messages=words(30_000))
        assert asked.body["options"]["num_ctx"] == 32_768

    async def test_it_is_never_more_than_the_model_can_have(self, ask: Ask) -> None:
        """A model made for 10000 tokens is loaded with 10000."""
        spec = ModelSpec(id="ollama:m", name="m", provider="ollama", context_window=10_000)
        asked = await ask("ollama", "m", registry=ModelRegistry([spec]), messages=words(9000))
        assert asked.body["options"]["num_ctx"] == 10_000

    async def test_what_somebody_says_is_what_is_sent(self, ask: Ask) -> None:
        """The settings' context, and before it the caller's."""
        asked = await ask("ollama", "m", context_window=2000)
        assert asked.body["options"]["num_ctx"] == 2000
        own = {"options": {"num_ctx": 512, "num_thread": 2}}
        assert (await ask("ollama", "m", extra_params=own)).body["options"] == own["options"]
