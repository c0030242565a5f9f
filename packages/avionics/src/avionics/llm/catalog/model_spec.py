"""What is known of one model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Self

from avionics.llm.catalog.model_id import Runtime
from avionics.settings.model_specs import Capability, Modality, ParameterRule, SpecSettings

__all__ = ["ModelSpec"]

_MODALITIES: dict[Capability, Modality] = {"vision": "image", "audio": "audio"}
"""Capabilities that follow from what a model reads."""


class ModelSpec(SpecSettings, frozen=True):
    """A model and what is known of it. Unknown is None, and missing in `capabilities`.

    Attributes:
        id: `provider:model`, or `name:runtime@host:port` for what runs locally.
        name: what its backend is asked for.
        provider: who made it or serves it; for a local model, the runtime.
        runtime: where it runs.
        loaded: whether it is in memory now, where a running server says so.
        loaded_context: tokens of context with which it is in memory; a server may load it again with more, up to
            `context_window`.
        chat_template: its chat template, where a running server shows it.
        source: where this is known from.
        checked: the day on which that was read.
    """

    id: str
    name: str
    provider: str
    runtime: Runtime = "api"
    loaded: bool | None = None
    loaded_context: int | None = None
    chat_template: str | None = None
    source: str = ""
    checked: date | None = None

    def supports(self, capability: Capability) -> bool | None:
        """Whether the model can do that; None where it is unknown."""
        if (known := self.capabilities.get(capability)) is not None:
            return known
        if capability == "reasoning":
            return True if self.reasoning else None
        if (modality := _MODALITIES.get(capability)) and self.input_modalities is not None:
            return modality in self.input_modalities
        return None

    def rules(self, kind: str) -> Iterator[ParameterRule]:
        """The rules that hold where the model is asked over a backend of that kind."""
        return (rule for rule in self.parameters if not rule.kinds or kind in rule.kinds)

    def with_changes(self, changes: SpecSettings) -> Self:
        """This spec with what `changes` states in place of its own; capabilities are added to."""
        stated = {name: getattr(changes, name) for name in changes.model_fields_set}
        if "capabilities" in stated:
            stated["capabilities"] = {**self.capabilities, **changes.capabilities}
        return self.model_copy(update=stated)
