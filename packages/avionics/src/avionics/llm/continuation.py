"""Who can go on with a text that broke off: who takes the last message as the beginning of the answer."""

from __future__ import annotations

from airframe.types import InferenceResult, TextPart

__all__ = ["CONTINUING_KINDS", "can_continue"]

CONTINUING_KINDS = frozenset({"llama_cpp", "llama_server"})
"""Kinds of backend that go on with an assistant message at the end of the conversation, whatever the model (llama.cpp,
`prefill_assistant`, on by default; tried on build 11549). Anthropic's newest models refuse one, OpenAI's answer it, and
others differ by model, so they are left out.
"""


def can_continue(kind: str, partial: InferenceResult | None) -> bool:
    """Whether a backend of that kind can go on after `partial`: only text, and some of it, can be continued."""
    if kind not in CONTINUING_KINDS or partial is None or not partial.text.strip():
        return False
    return all(isinstance(part, TextPart) for part in partial.content)
