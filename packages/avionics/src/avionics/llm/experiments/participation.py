"""The experiments of a gateway: which one a call takes part in, and as which variant.

A call takes part in one experiment at the most, so that each difference has one cause: in the first of the settings
whose agents and share it belongs to. It takes part in none that varies what the call itself says: its own arguments win
over everything, so it would be the same in all variants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from avionics.llm.call_options import CallOptions
from avionics.llm.experiments.assignment import choose, is_chosen
from avionics.llm.experiments.variation import stated_by_call, varied_by
from avionics.settings.experiments import ExperimentSettings, VariantSettings
from avionics.settings.settings import DEFAULT_AGENT

__all__ = ["Experiments", "Participation", "label", "shadow_label"]

_SHADOW = "shadow:"
"""No name of a variant has a colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participation:
    """That a call takes part in an experiment, as one of its variants."""

    experiment: str
    settings: ExperimentSettings = field(repr=False)
    variant: VariantSettings

    @property
    def label(self) -> str:
        """How it stands in the records."""
        return label(self.experiment, self.variant.name)


class Experiments:
    """All experiments of the settings. Immutable."""

    def __init__(self, settings: Mapping[str, ExperimentSettings]) -> None:
        self._settings = dict(settings)
        self._varied = {name: varied_by(experiment) for name, experiment in settings.items()}

    def providers(self) -> tuple[str, ...]:
        """The names of providers that variants ask for."""
        variants = (variant for experiment in self._settings.values() for variant in experiment.variants)
        return tuple(dict.fromkeys(variant.provider for variant in variants if variant.provider is not None))

    def participation(
        self, call_id: str, agent_name: str | None, system: str | None, options: CallOptions
    ) -> Participation | None:
        """What a call takes part in; None is nothing. Its session, or else its conversation, decides, or itself."""
        if not self._settings:
            return None
        unit = options.get("session_id") or options.get("conversation_id") or call_id
        stated = stated_by_call(system, options)
        for name, experiment in self._settings.items():
            if experiment.agents and (agent_name or DEFAULT_AGENT) not in experiment.agents:
                continue
            if stated & self._varied[name] or not is_chosen(experiment.share, name, "part", unit):
                continue
            weights = {variant.name: variant.weight for variant in experiment.variants}
            variant = experiment.variant(choose(name, weights, unit))
            return Participation(experiment=name, settings=experiment, variant=variant)
        return None


def label(experiment: str, variant: str) -> str:
    """How calls of a variant are marked in the records."""
    return f"{experiment}/{variant}"


def shadow_label(experiment: str, variant: str) -> str:
    """How copies are marked that were made as a variant would."""
    return label(experiment, _SHADOW + variant)
