"""Whether a text that broke off can be continued."""

from __future__ import annotations

from airframe.types import InferenceResult, TextPart
from avionics.llm.provider import LLMProvider

__all__ = ["can_continue"]


def can_continue(provider: LLMProvider, partial: InferenceResult) -> bool:
    """Whether `provider` can go on after `partial`: only text, and some of it, can be continued."""
    only_text = all(isinstance(part, TextPart) for part in partial.content)
    return provider.continues_answers and only_text and bool(partial.text.strip())
