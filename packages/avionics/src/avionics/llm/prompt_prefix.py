"""The beginning of a prompt, by which calls that share one can be sent to the place that has it in its prompt cache."""

from __future__ import annotations

from hashlib import blake2b

from airframe.types import InferenceRequest
from avionics.llm.requests import message_text

__all__ = ["prompt_prefix"]

_CHARACTERS = 4096
"""Long enough for instructions and tools to differ, short enough to be the same in every call of a conversation."""


def prompt_prefix(request: InferenceRequest) -> str:
    """A digest of how the conversation begins: of its first two messages, as far as they count."""
    text = "\0".join(message_text(message)[:_CHARACTERS] for message in request.messages[:2])
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
