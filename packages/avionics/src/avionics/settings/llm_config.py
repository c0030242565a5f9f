"""How a model is asked, wherever that can be said: for an agent, for a model, or for one chat."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from avionics.settings.section import Count, Name, Section

__all__ = ["LLMConfig", "ReasoningSettings"]

Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class ReasoningSettings(Section, frozen=True):
    """How much the model may think."""

    effort: Name | None = None
    """In the backend's word, such as `low`, `medium` or `high`."""
    budget_tokens: Count | None = None
    """As a number of tokens."""
    summary: Name | None = None
    """The kind of summary that is shown of it, in the backend's word."""
    enabled: bool | None = None
    """On or off, for models that know no more."""


class LLMConfig(Section, frozen=True):
    """How a model is asked. None leaves it to who stands behind: the agent `default`, the model's entry, the backend.

    A call's own arguments win over all of them.
    """

    temperature: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """0 for the likeliest answer, more for variety."""
    max_tokens: Count | None = None
    """The longest answer, in tokens."""
    system: str | None = None
    """What the model is told first, where a call brings no system message of its own."""
    top_p: Share | None = None
    """Choose among the likeliest tokens that together have this probability."""
    top_k: Annotated[int | None, Field(ge=0)] = None
    """Choose among so many of the likeliest tokens."""
    min_p: Share | None = None
    """Choose among tokens at least so likely as this share of the likeliest one."""
    repeat_penalty: Number | None = None
    """Above 1, what was said becomes less likely (llama.cpp and its kin)."""
    presence_penalty: Number | None = None
    """Above 0, a token that was said at all becomes less likely."""
    frequency_penalty: Number | None = None
    """Above 0, a token becomes less likely with each time that it was said."""
    stop: tuple[str, ...] | None = None
    """Texts before which the answer ends."""
    seed: int | None = None
    """The same seed asks for the same choices."""
    reasoning: ReasoningSettings | None = None
    """How much the model may think."""

    def over(self, other: LLMConfig) -> Self:
        """The same, with what is not stated here taken from `other`."""
        own = {name: value for name in LLMConfig.model_fields if (value := getattr(self, name)) is not None}
        behind = {name: getattr(other, name) for name in LLMConfig.model_fields}
        return self.model_copy(update={**behind, **own})
