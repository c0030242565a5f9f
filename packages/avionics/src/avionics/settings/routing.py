"""Where calls go, and in which shape."""

from __future__ import annotations

from typing import Literal

from avionics.settings.section import Section

__all__ = ["RoutingSettings"]


class RoutingSettings(Section, frozen=True):
    """Where calls go, and in which shape."""

    mode: Literal["single_node", "distributed"] = "single_node"
    """Whether inference nodes, where there are any, are asked in place of an agent's own provider."""
    unsupported_parameters: Literal["error", "warn", "drop"] = "warn"
    """What becomes of a parameter that the model does not take: the call fails, or it is left out, with a warning or
    without.
    """
