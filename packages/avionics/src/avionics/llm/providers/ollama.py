"""Ollama, on one's own hardware."""

from __future__ import annotations

from avionics.llm.provider import LLMProvider

__all__ = ["OllamaProvider"]


class OllamaProvider(LLMProvider):
    """Ollama over its own API. `context_window` is the `num_ctx` that it is asked for."""

    name = "ollama"
    kind = "ollama"
