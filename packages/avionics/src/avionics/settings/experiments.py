"""Experiments: calls that are made in one of several ways, so that the ways can be compared.

experiments:
  smaller_model:
    agents: [planner]
    share: 0.5
    variants:
      - {name: control}
      - {name: mini, provider: openai, model: gpt-5-mini, temperature: 0}
    shadow: {to: mini, share: 0.1, usd: 1, per: day}
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from avionics.settings.llm_config import LLMConfig
from avionics.settings.section import Count, Name, Seconds, Section

__all__ = ["ExperimentName", "ExperimentSettings", "ShadowSettings", "VariantSettings"]

ExperimentName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
"""The name of an experiment or of a variant. It goes into the call log."""

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class VariantSettings(LLMConfig, frozen=True):
    """One of the ways. What it does not state is as it is without the experiment.

    Its parameters win over those of the agent and of the route.
    """

    name: ExperimentName
    """Its name."""
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Its share among the variants. 0 gets no calls, but copies, where `shadow` names it."""
    route: Name | None = None
    """The route of `routing.routes` that is taken, in place of provider and model."""
    provider: Name | None = None
    """The only provider that is asked."""
    model: Name | None = None
    """The model that is asked for: a name that the provider knows, or an entry of `models`."""

    @model_validator(mode="after")
    def _check_route(self) -> Self:
        if self.route is not None and (self.provider is not None or self.model is not None):
            raise ValueError("a route says whom to ask; give either route, or provider and model")
        return self


class ShadowSettings(Section, frozen=True):
    """Copies of real calls, made as a variant would. Nobody waits for their answers; the call log has them."""

    to: ExperimentName
    """The variant."""
    share: Share = 0.1
    """The share of calls that are copied, of those that take part and are not of this variant."""
    usd: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] = Decimal(1)
    """What the copies may cost, in USD. It is a budget of their own."""
    per: Literal["day", "month", "total"] = "day"
    """When that budget is new again: at midnight (UTC), on the first of the month, or never."""
    concurrency: Count = 4
    """How many copies are under way at a time. Further ones are not made."""
    timeout: Seconds = 300.0
    """How long a copy may take, in seconds, where its route states no `total`."""
    patience: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """For how many seconds a gateway that is closed waits for copies that are under way. Then they are cancelled."""


class ExperimentSettings(Section, frozen=True):
    """Whose calls are made in which ways."""

    agents: tuple[Name, ...] = ()
    """The agents whose calls take part; nobody named is everybody."""
    share: Share = 1.0
    """The share of sessions that take part at all."""
    variants: Annotated[tuple[VariantSettings, ...], Field(min_length=1)]
    """The ways. The first is the one that the others are compared with."""
    shadow: ShadowSettings | None = None
    """Copies of calls that nobody waits for."""

    @model_validator(mode="after")
    def _check_variants(self) -> Self:
        counts = Counter(variant.name for variant in self.variants)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"two variants are called {twice[0]!r}; rename one of them")
        if not any(variant.weight for variant in self.variants):
            raise ValueError("no variant has a weight, so none gets a call; give one of them a weight above 0")
        if self.shadow is not None and self.shadow.to not in counts:
            raise ValueError(f"shadow.to names no variant; known are {', '.join(counts)}")
        return self

    def variant(self, name: str) -> VariantSettings:
        """The variant of that name. Raises `LookupError`."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise LookupError(name)
