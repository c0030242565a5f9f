"""Which node a conversation belongs to, so that a prompt meets the node that has read its beginning before.

Rendezvous hashing: every node draws a number for the key, and the one with the highest has it. When a node comes or
goes, only its own keys move. Weights follow Schindelhauer and Schomaker, "Weighted distributed hash tables" (2005).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

from airframe.types import Message
from avionics.llm.nodes.profile import NodeProfile

__all__ = ["affinity_key", "by_affinity"]

_LONGEST_PREFIX = 4096
"""Bytes. Prompts that have this much in common belong together, whatever follows."""

_HASH_BITS = 64


def affinity_key(messages: Sequence[Message], *, conversation_id: str | None = None) -> str:
    """What calls have in common that should meet the same node: the conversation, else how the prompt begins.

    The beginning ends with the first turn of the user, so that it stays the same while a conversation goes on.
    """
    if conversation_id is not None:
        return f"conversation {conversation_id}"
    said: list[str] = []
    for message in messages:
        said.append(f"{message.role}\n{message.text}\n")
        if message.role == "user":
            break
    beginning = "".join(said).encode("utf-8", "replace")[:_LONGEST_PREFIX]
    return f"prompt {blake2b(beginning, digest_size=16).hexdigest()}"


def by_affinity(nodes: Sequence[NodeProfile], key: str) -> Sequence[NodeProfile]:
    """The nodes in the order in which a key belongs to them; a node of twice the weight has twice the keys."""
    return sorted(nodes, key=lambda node: _draw(node, key), reverse=True)


def _draw(node: NodeProfile, key: str) -> float:
    digest = blake2b(f"{node.name}\n{key}".encode("utf-8", "replace"), digest_size=_HASH_BITS // 8).digest()
    between_0_and_1 = (int.from_bytes(digest) + 0.5) / 2**_HASH_BITS
    return -node.weight / math.log(between_0_and_1)
