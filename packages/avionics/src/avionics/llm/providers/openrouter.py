"""OpenRouter."""

from __future__ import annotations

from avionics.llm.provider import LLMProvider

__all__ = ["OpenRouterProvider"]


class OpenRouterProvider(LLMProvider):
    """OpenRouter, one service in front of the models of many. `options.provider` says whom it may ask."""

    name = "openrouter"
    kind = "openrouter"
