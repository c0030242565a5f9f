"""How calls are made, whoever is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from avionics.settings.providers import TimeoutSettings
from avionics.settings.section import Section

__all__ = ["LimitsSettings", "RoutingSettings"]


class RoutingSettings(Section, frozen=True):
    """Where calls go, and in which shape."""

    mode: Literal["single_node", "distributed"] = "single_node"
    """Whether inference nodes, where there are any, are asked in place of an agent's own provider."""
    unsupported_parameters: Literal["error", "warn", "drop"] = "warn"
    """What becomes of a parameter that the model does not take: the call fails, or it is left out, with a warning or
    without.
    """


class LimitsSettings(Section, frozen=True):
    """What holds for every provider that does not say otherwise."""

    timeouts: TimeoutSettings = TimeoutSettings()
    """Limits in time; what is not stated is what is usual for the kind of backend."""
    max_retries: Annotated[int, Field(ge=0)] = 3
    """How often the same endpoint is asked again before a fallback."""
