"""Agents and models: who asks whom, and how."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator

from avionics.settings.llm_config import LLMConfig
from avionics.settings.model_specs import SpecSettings
from avionics.settings.prices import PriceSettings
from avionics.settings.section import Name

__all__ = ["AgentSettings", "ModelSettings"]


def _split(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class AgentSettings(LLMConfig, frozen=True):
    """Whom an agent asks, and how. What it does not state is that of the agent `default`."""

    provider: Name | None = None
    """The provider that is asked first."""
    model: Name | None = None
    """The model that it is asked for: a name that it knows, or an entry of `models`."""
    fallbacks: Annotated[tuple[Name, ...] | None, BeforeValidator(_split)] = None
    """The providers that are asked when it fails, in order; in one text with commas between."""
    route: Name | None = None
    """The route of `routing.routes` that says whom it asks, in place of these three."""

    @model_validator(mode="after")
    def _check_route(self) -> Self:
        if self.route is not None and self._says_whom():
            raise ValueError("a route says whom to ask; give either route, or provider, model and fallbacks")
        return self

    def over_default(self, default: AgentSettings) -> AgentSettings:
        """The same, with what is not stated here taken from `default`.

        A model is known to its provider, so it is taken over only when the provider is. A route is taken over by who
        says nothing of whom to ask.
        """
        if self.route is not None:
            return self.over(default)
        if default.route is not None and not self._says_whom():
            return self.over(default).model_copy(update={"route": default.route})
        same_provider = self.provider is None or self.provider == default.provider
        return self.over(default).model_copy(
            update={
                "provider": self.provider or default.provider,
                "model": self.model or (default.model if same_provider else None),
                "fallbacks": default.fallbacks if self.fallbacks is None else self.fallbacks,
            }
        )

    def _says_whom(self) -> bool:
        return any(said is not None for said in (self.provider, self.model, self.fallbacks))


class ModelSettings(LLMConfig, frozen=True):
    """One model, under its own name or under an alias."""

    id: Name | None = None
    """What the entry's name stands for: `provider:model`, or `name:runtime@host:port` for one that runs locally."""
    price: PriceSettings | None = None
    """What it costs, in place of the price list."""
    spec: SpecSettings = SpecSettings()
    """What it can do and takes, where the catalog does not know it, or not rightly."""
