"""What can be said of a model: one form for the catalog's data files and for `models.<name>.spec` in the settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from airframe.types import InferenceRequest
from avionics.settings.section import Count, Name, Section

__all__ = [
    "Capability",
    "Condition",
    "Modality",
    "Operation",
    "ParameterRule",
    "ReasoningRule",
    "SpecSettings",
    "ThinkingMode",
]

Capability: TypeAlias = Literal[
    "streaming", "tools", "parallel_tools", "structured_output", "vision", "audio", "reasoning", "prompt_caching"
]
Modality: TypeAlias = Literal["text", "image", "audio", "file", "video", "embedding"]
Operation: TypeAlias = Literal["chat", "image_generation", "speech", "transcription", "video_generation", "embedding"]
"""What a model is asked to do, which decides the call it is asked by."""

Condition: TypeAlias = Literal["reasoning", "no_reasoning", "tools"]
"""What else a request asks for: that the model thinks, that it does not, or that it may call tools."""

ThinkingMode: TypeAlias = Literal["adaptive", "budget", "disabled"]
"""How thinking is asked for besides by an effort: as much as the model sees fit, up to a budget of tokens, or not."""

_EXTRA = "extra_params."
_NAMES = frozenset({item.name for item in fields(InferenceRequest)} - {"model", "extra_params"}) | {
    "reasoning.effort",
    "role.developer",
    "role.system",
}


class ParameterRule(Section, frozen=True):
    """What a model takes of some fields of a request."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    """Fields of `airframe.types.InferenceRequest`, `reasoning.effort`, the roles `role.system` and `role.developer`, or
    `extra_params.NAME`.
    """
    type: Literal["number", "integer", "text", "boolean"] | None = None
    """What the value has to be."""
    minimum: float | None = None
    """The smallest number that is taken."""
    maximum: float | None = None
    """The largest number that is taken."""
    choices: tuple[str, ...] = ()
    """The words that are taken."""
    default: bool | int | float | str | None = None
    """What is sent when the caller says nothing."""
    rename: str | None = None
    """The name under which the field is sent; for a role, the role that is sent instead."""
    drop: str | None = None
    """Why the model does not take the field at all."""
    forbidden_with: tuple[Condition, ...] = ()
    """What the field does not go together with; with `choices`, these are the words that still do."""
    kinds: tuple[str, ...] = ()
    """The backend kinds to which the rule is limited; empty is all."""

    @field_validator("names")
    @classmethod
    def _check_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in _NAMES and not name.startswith(_EXTRA):
                near = difflib.get_close_matches(name, _NAMES, n=1)
                guess = f"did you mean {near[0]}?" if near else f"other parameters are written {_EXTRA}NAME"
                raise ValueError(f"a request has no field of that name; {guess}")
        return names


class ReasoningRule(Section, frozen=True):
    """How a model's reasoning is asked for."""

    efforts: tuple[str, ...] = ()
    """The words that it takes, weakest first; `none` among them switches reasoning off."""
    default: str = "none"
    """What it does when nothing is asked for: `none`, an effort, or `on` where no effort is known."""
    modes: tuple[ThinkingMode, ...] = ()
    """How thinking is asked for besides by an effort."""


class SpecSettings(Section, frozen=True):
    """What a model can do and takes. None is unknown, and unknown is never a reason to refuse a request."""

    like: Name | None = None
    """The id of a model of the catalog that holds for what is not said here: for deployments and fine-tunes."""
    canonical_name: Name | None = None
    """Which model it is, wherever it runs and whatever it is called there."""
    context_window: Count | None = None
    """Tokens of prompt and answer together."""
    max_output: Count | None = None
    """The longest answer, in tokens."""
    input_modalities: tuple[Modality, ...] | None = None
    """What it reads."""
    output_modalities: tuple[Modality, ...] | None = None
    """What it makes."""
    operation: Operation = "chat"
    """What it is asked to do."""
    capabilities: Mapping[Capability, bool] = Field(default_factory=dict[Capability, bool])
    """What it can do and what it cannot; what is missing is unknown."""
    reasoning: ReasoningRule | None = None
    """How its reasoning is asked for."""
    parameters: tuple[ParameterRule, ...] = ()
    """What it takes of a request's fields, rule by rule."""
    priced_as: Name | None = None
    """Where its price is found: `provider:model` in the words of genai-prices."""
    retires: date | None = None
    """The last day on which its provider serves it."""
