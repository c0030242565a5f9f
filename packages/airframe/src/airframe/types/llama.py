"""What a llama.cpp server says about itself and its work. Source: llama.cpp 0c1e570, recorded 2026-11-20."""

from __future__ import annotations

from dataclasses import dataclass, field

from airframe.types.json_value import JSONObject, JSONValue

__all__ = ["LlamaProps", "LlamaSlot", "LlamaTimings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaProps:
    """`/props`. `context_window` is that of one slot, in tokens; `modalities` what the model takes besides text."""

    context_window: int | None = None
    slots: int | None = None
    chat_template: str | None = None
    build: str | None = None
    model_path: str | None = None
    modalities: frozenset[str] = frozenset()
    sleeping: bool | None = None
    raw: JSONObject = field(default_factory=dict[str, JSONValue], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaSlot:
    """One place in which a request is worked on."""

    id: int
    processing: bool
    context_window: int | None = None
    raw: JSONObject = field(default_factory=dict[str, JSONValue], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaTimings:
    """What an answer cost: tokens read, taken from the prompt cache and written, and the time for it in seconds.

    `drafted_tokens` are those that speculative decoding guessed.
    """

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    predicted_tokens: int | None = None
    drafted_tokens: int | None = None
    prompt_seconds: float | None = None
    predicted_seconds: float | None = None

    @classmethod
    def of(cls, timings: JSONObject | None) -> LlamaTimings:
        """`InferenceResult.timings` with names and types; what is missing or no number is None."""
        given = timings or {}
        return cls(
            prompt_tokens=_count(given, "prompt_n"),
            cached_tokens=_count(given, "cache_n"),
            predicted_tokens=_count(given, "predicted_n"),
            drafted_tokens=_count(given, "draft_n"),
            prompt_seconds=_seconds(given, "prompt_ms"),
            predicted_seconds=_seconds(given, "predicted_ms"),
        )

    @property
    def tokens_per_second(self) -> float | None:
        """How fast the answer was written."""
        if self.predicted_tokens is None or not self.predicted_seconds:
            return None
        return self.predicted_tokens / self.predicted_seconds


def _count(timings: JSONObject, name: str) -> int | None:
    value = timings.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(timings: JSONObject, name: str) -> float | None:
    value = timings.get(name)
    return value / 1000 if isinstance(value, int | float) and not isinstance(value, bool) else None
