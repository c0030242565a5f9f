"""Any other server with OpenAI's chat completions."""

from __future__ import annotations

from avionics.llm.provider import LLMProvider

__all__ = ["OpenAICompatibleProvider"]


class OpenAICompatibleProvider(LLMProvider):
    """A server with `/v1/chat/completions`, such as vLLM, SGLang, TGI, or a hosted service."""

    name = "openai_compatible"
    kind = "openai_compatible"
