"""A route: whom to ask, in which order, and how long. What the settings say of it is read in `route_table`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from avionics.llm.routing.deployment import Deployment
from avionics.settings.routing import Balancing, StreamSettings

__all__ = ["Route", "RoutePolicy", "StreamPolicy", "Tier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Equals, each directly followed by its backups; the next tier is a fallback of this one."""

    deployments: tuple[Deployment, ...]
    balancing: Balancing = "weighted"


StreamPolicy: TypeAlias = StreamSettings
"""What is held back at the beginning of a stream. It is a plain value, so the settings' own class serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePolicy:
    """How a call on a route is made.

    Attributes:
        total: seconds for the whole call, retries and fallbacks included; None is no limit.
        hedge_after: seconds of silence after which another deployment is asked as well; None never.
        hedge_most: how many are asked besides the first.
        max_attempts: how many deployments are asked at most; None is all.
        stream: what is held back of a stream.
    """

    total: float | None = None
    hedge_after: float | None = None
    hedge_most: int = 1
    max_attempts: int | None = None
    stream: StreamPolicy = field(default_factory=StreamPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Deployments in order, by tiers.

    Attributes:
        name: its own, or that of the agent whose route it is.
        tiers: whom to ask; a tier is a fallback of those before it.
        context_length: whom to ask when the prompt is too long; empty: who of `tiers` has a larger window.
        content_filter: whom to ask when the prompt or the answer was blocked; empty: nobody.
        policy: how a call is made.
    """

    name: str
    tiers: tuple[Tier, ...]
    context_length: tuple[Tier, ...] = ()
    content_filter: tuple[Tier, ...] = ()
    policy: RoutePolicy = field(default_factory=RoutePolicy)

    @property
    def providers(self) -> tuple[str, ...]:
        """The names of those that may be asked, in order; without those for special cases."""
        return tuple(dict.fromkeys(each.provider for tier in self.tiers for each in tier.deployments))

    def deployments(self) -> Iterator[Deployment]:
        """Those of all three chains, each once, in the order of the settings."""
        chains = (*self.tiers, *self.context_length, *self.content_filter)
        yield from dict.fromkeys(deployment for tier in chains for deployment in tier.deployments)
