"""LM Studio, on one's own hardware."""

from __future__ import annotations

from avionics.llm.provider import LLMProvider

__all__ = ["LMStudioProvider"]


class LMStudioProvider(LLMProvider):
    """LM Studio."""

    name = "lmstudio"
    kind = "lm_studio"
