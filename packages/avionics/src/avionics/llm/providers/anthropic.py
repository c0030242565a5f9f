"""Anthropic."""

from __future__ import annotations

from avionics.llm.provider import LLMProvider

__all__ = ["AnthropicProvider"]


class AnthropicProvider(LLMProvider):
    """Anthropic's Messages, and others that speak them: Claude on Azure, or a local server, at its `base_url`."""

    name = "anthropic"
    kind = "anthropic"
