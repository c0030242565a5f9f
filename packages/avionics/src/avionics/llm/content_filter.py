"""What is kept of a text that was said by or to a model, where somebody asked for it to be kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airframe.redaction import redact as without_secrets

__all__ = ["ContentFilter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFilter:
    """Takes what looks like a key out of a text, then what `redact` takes out, then what is too much.

    `most_characters` of a text are kept; a mark says how many more there were.
    """

    most_characters: int = 100_000
    redact: Callable[[str], str] | None = None

    def text(self, text: str) -> str:
        """What may be kept of `text`. Raises what `redact` raises."""
        kept = without_secrets(text)
        if self.redact is not None:
            kept = self.redact(kept)
        more = len(kept) - self.most_characters
        return f"{kept[: self.most_characters]}… [{more} more characters]" if more > 0 else kept
