"""What goes over the wire when a model is asked, and what the caller is warned of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import pytest

from airframe.adapters import (
    AnthropicAdapter,
    AzureOpenAIAdapter,
    OllamaAdapter,
    OpenAIChatAdapter,
    OpenAIResponsesAdapter,
    OpenRouterAdapter,
)
from airframe.endpoints import CapacityHints, EndpointSpec
from airframe.testing.playback import PlaybackTransport
from airframe.testing.reply import Reply
from airframe.types import Message
from avionics.llm import LLMProvider, ModelRegistry
from avionics.llm.catalog import Policy

CHAT = {
    "id": "1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 400, "completion_tokens": 1, "total_tokens": 401},
}
ANSWERS: Mapping[str, object] = {
    "anthropic": {"id": "1", "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn"},
    "ollama": {
        "message": {"role": "assistant", "content": "ok"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 400,
    },
    "openai_responses": {
        "id": "1",
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}],
    },
}
ADAPTERS: Mapping[str, Callable[..., Any]] = {
    "anthropic": partial(AnthropicAdapter, version="2023-06-01"),
    "anthropic newest": AnthropicAdapter,
    "azure": AzureOpenAIAdapter,
    "ollama": OllamaAdapter,
    "openai": OpenAIChatAdapter,
    "openai_responses": OpenAIResponsesAdapter,
    "openrouter": OpenRouterAdapter,
}
HOSTS = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
    "openai_responses": "https://api.openai.com/v1",
}


class Provider(LLMProvider):
    """Whoever is behind the adapter."""

    name = "probed"
    kind = "probed"


@dataclass
class Asked:
    """The body that was sent; what the result warns of, by subject; and all its words."""

    body: dict[str, Any]
    subjects: list[str]
    words: str


Ask: TypeAlias = Callable[..., Any]


@pytest.fixture
def ask() -> Ask:
    """Asks a model over a backend kind with the options of a request; nothing leaves the process."""

    async def ask_model(
        kind: str,
        model: str,
        *,
        messages: list[Message] | None = None,
        policy: Policy = "warn",
        registry: ModelRegistry | None = None,
        context_window: int | None = None,
        base_url: str | None = None,
        **options: Any,
    ) -> Asked:
        bodies: list[dict[str, Any]] = []

        def answer(_endpoint: EndpointSpec, request: Any) -> Reply:
            bodies.append(json.loads(request.body))
            return Reply.of(json.dumps(ANSWERS.get(kind.split(maxsplit=1)[0], CHAT)).encode())

        name = kind.split(maxsplit=1)[0]
        endpoint = EndpointSpec(
            base_url=base_url or HOSTS.get(name, "http://127.0.0.1:1"),
            backend_kind=name,
            capacity=CapacityHints(context_window=context_window),
        )
        async with ADAPTERS[kind](transport=PlaybackTransport(answer)) as adapter:
            provider = Provider(adapter, endpoint, catalog=registry, policy=policy)
            result = await provider.complete(messages or [Message("user", "Why?")], model=model, **options)
        (body,) = bodies
        return Asked(
            body,
            [warning.subject for warning in result.warnings],
            " | ".join(warning.message for warning in result.warnings),
        )

    return ask_model
