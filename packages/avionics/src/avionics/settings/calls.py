"""What holds for every provider that does not say otherwise."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from avionics.settings.providers import TimeoutSettings
from avionics.settings.section import Section

__all__ = ["LimitsSettings"]


class LimitsSettings(Section, frozen=True):
    """What holds for every provider that does not say otherwise."""

    timeouts: TimeoutSettings = TimeoutSettings()
    """Limits in time; what is not stated is what is usual for the kind of backend."""
    max_retries: Annotated[int, Field(ge=0)] = 3
    """How often the same endpoint is asked again before a fallback."""
