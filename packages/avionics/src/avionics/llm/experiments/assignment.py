"""Which calls take part in an experiment, and in which of its variants. Pure, and the same in every process.

All calls of one unit, which is a session where there is one, are made in the same way. Nothing is remembered for
that: the choice is a function of names. Each variant draws a number for the unit, from a hash of experiment, variant
and unit; the greatest `-weight / ln(number)` wins. So a variant gets exactly its share of the weights in the long run.
When weights change, only those units move that must: into variants that became heavier, out of those that became
lighter (weighted rendezvous hashing: Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005).

Whether a unit takes part at all is drawn apart from that. To raise the share adds units, and moves none.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from hashlib import blake2b

__all__ = ["choose", "draw", "is_chosen"]

_BITS = 52
"""With half of one more, as many as a float holds exactly."""


def is_chosen(share: float, experiment: str, purpose: str, unit: str) -> bool:
    """Whether a unit is in a share of 0 to 1; for each purpose anew."""
    return draw(experiment, f"?{purpose}", unit) < share


def choose(experiment: str, weights: Mapping[str, float], unit: str) -> str:
    """The variant of a unit, by the weights of the variants, one of which is above 0."""
    heavy = {name: weight for name, weight in weights.items() if weight > 0}
    return max(heavy, key=lambda name: -heavy[name] / math.log(draw(experiment, name, unit)))


def draw(*names: str) -> float:
    """A number between 0 and 1, never one of them, as good as by chance and always the same for the same names."""
    digest = blake2b(_unmistakable(names), digest_size=8).digest()
    number = int.from_bytes(digest, "big") >> (64 - _BITS)
    return (number + 0.5) * 2.0**-_BITS


def _unmistakable(names: Collection[str]) -> bytes:
    """The names with their lengths: `a`, `bc` is another text than `ab`, `c`."""
    texts = [name.encode("utf-8", "surrogatepass") for name in names]
    return b"".join(len(text).to_bytes(4, "big") + text for text in texts)
