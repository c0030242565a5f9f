"""Where calls go, and in which shape.

routing:
  routes:
    fast:
      deployments:
        - [{provider: openai, model: gpt-5-mini, weight: 3}, {provider: azure}]
        - {provider: anthropic, when: {tags: [eu]}}
agents:
  planner: {route: fast}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import time
from typing import Annotated, Literal, Self, TypeAlias, cast
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from avionics.settings.llm_config import LLMConfig
from avionics.settings.section import Count, Name, Seconds, Section

__all__ = [
    "Balancing",
    "Chain",
    "ConcurrencySettings",
    "ConditionSettings",
    "DeploymentSettings",
    "HealthSettings",
    "HedgeSettings",
    "RouteSettings",
    "RoutingSettings",
    "StreamSettings",
]

Balancing: TypeAlias = Literal[
    "ordered", "weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "sticky"
]
"""How a group of equals is put in order, for each call anew."""

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _time(value: object) -> object:
    """YAML reads 20:00 without quotes as a number, so only texts are taken."""
    if isinstance(value, time) or (isinstance(value, str) and _TIME.fullmatch(value)):
        return value
    raise ValueError('a time of day is written as a text with quotes, such as "08:00"')


def _zone(value: object) -> object:
    try:
        return value if not isinstance(value, str) else ZoneInfo(value).key
    except (LookupError, OSError, ValueError):
        raise ValueError("no such time zone is known here; write it as Europe/Berlin, or install tzdata") from None


TimeOfDay: TypeAlias = Annotated[time, BeforeValidator(_time, json_schema_input_type=str)]
TimeZone: TypeAlias = Annotated[str, BeforeValidator(_zone, json_schema_input_type=str)]
Share: TypeAlias = Annotated[float, Field(gt=0, le=1)]


class ConditionSettings(Section, frozen=True):
    """When a deployment is asked. All that is stated has to hold; nothing stated holds always."""

    tags: tuple[Name, ...] = ()
    """Tags that the call must carry, all of them."""
    tenants: tuple[Name, ...] = ()
    """The tenants for whom it is asked."""
    between: tuple[TimeOfDay, TimeOfDay] | None = None
    """From the first time of day until before the second; over midnight when the second is the earlier one."""
    timezone: TimeZone = "UTC"
    """Whose time of day."""
    min_input_tokens: Count | None = None
    """Prompts at least so long, by our estimate."""
    max_input_tokens: Count | None = None
    """Prompts at most so long, by our estimate."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.between is not None and self.between[0] == self.between[1]:
            raise ValueError("between must not end when it begins; leave it out for the whole day")
        least, most = self.min_input_tokens, self.max_input_tokens
        if least is not None and most is not None and most < least:
            raise ValueError("max_input_tokens must not be smaller than min_input_tokens")
        return self


class DeploymentSettings(LLMConfig, frozen=True):
    """Whom a route asks, and how: the parameters win over the agent's, and a call's own over them."""

    provider: Name
    """The provider."""
    model: Name | None = None
    """The model that it is asked for: a name that it knows, or an entry of `models`. None is its default."""
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Its share among equals; 0 is asked only when the others fail."""
    when: ConditionSettings = ConditionSettings()
    """When it is asked at all."""


def _group(value: object) -> object:
    """A deployment alone is a group of one."""
    return cast("object", value) if isinstance(value, (list, tuple)) else (value,)


Group: TypeAlias = Annotated[
    tuple[DeploymentSettings, ...],
    Field(min_length=1),
    BeforeValidator(_group, json_schema_input_type=DeploymentSettings | tuple[DeploymentSettings, ...]),
]
Chain: TypeAlias = tuple[Group, ...]
"""In order: each is asked when those before it failed. A list within is a group of equals."""


class HedgeSettings(Section, frozen=True):
    """Asking a second deployment while the first is still silent; who answers first wins, and all are paid for."""

    after: Seconds
    """Seconds without an event after which the next one is asked as well."""
    most: Count = 1
    """How many are asked besides the first."""


class StreamSettings(Section, frozen=True):
    """What is held back at the beginning of a stream, because after the first delivered event nobody else is asked.

    It is delivered when the first of the three limits is reached, or when the answer is complete.
    """

    buffer_events: Count = 1
    """Events; 1 delivers at once."""
    buffer_bytes: Count = 2000
    """Bytes of text."""
    buffer_seconds: Seconds = 1.0
    """Seconds since the first event."""
    least_tokens_per_second: Annotated[float | None, Field(gt=0)] = None
    """A stream that is slower than that while it is held back is given up for the next deployment."""
    continue_broken: bool = False
    """Whether a text that breaks off after delivery is continued by another deployment that can."""


class RouteSettings(Section, frozen=True):
    """Whom to ask, in order, and how long."""

    deployments: Annotated[Chain, Field(min_length=1)]
    """In order: each is asked when those before it failed. A list within is a group of equals."""
    balancing: Balancing = "weighted"
    """How a group of equals is put in order."""
    context_length: Chain = ()
    """Asked when the prompt is too long; none stated: whoever of `deployments` has a larger window."""
    content_filter: Chain = ()
    """Asked when the prompt or the answer was blocked; none stated: nobody."""
    total: Seconds | None = None
    """For a whole call, all retries and fallbacks included."""
    max_attempts: Count | None = None
    """How many deployments are asked at most; None is all."""
    hedge: HedgeSettings | None = None
    """Asking a second deployment while the first is silent."""
    stream: StreamSettings = StreamSettings()
    """What is held back of a stream."""

    def all_deployments(self) -> Iterator[DeploymentSettings]:
        """Those of all three chains, as they are written."""
        for chain in (self.deployments, self.context_length, self.content_filter):
            for group in chain:
                yield from group


class HealthSettings(Section, frozen=True):
    """When a deployment that fails is left alone, and for how long."""

    window: Seconds = 60.0
    """Seconds over which failures are counted."""
    failures: Count = 5
    """Failures in a row after which it is left alone."""
    failure_rate: Share = 0.5
    """The share of failures in the window at which it is left alone."""
    least_calls: Count = 10
    """Calls in the window below which the share says nothing."""
    cooldown: Seconds = 5.0
    """For how long the first time; then one call finds out whether it is well again."""
    longest_cooldown: Seconds = 300.0
    """How long at most, also when a backend asks for more; at once where the key or the account is the trouble."""
    growth: Annotated[float, Field(ge=1, le=100)] = 2.0
    """By what the time is multiplied each time that it was not well yet."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.longest_cooldown < self.cooldown:
            raise ValueError("longest_cooldown must not be shorter than cooldown")
        return self


class ConcurrencySettings(Section, frozen=True):
    """How many calls a deployment is given at once, learned from when it says that there are too many."""

    adaptive: bool = False
    """Whether the number is learned. If not, the only limit is the endpoint's `max_connections`."""
    start: Count = 16
    """The number to begin with."""
    most: Count = 256
    """The largest number."""
    queue: Annotated[int, Field(ge=0)] = 100
    """How many calls may wait for a place."""
    queue_timeout: Seconds = 10.0
    """For how long each."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.most < self.start:
            raise ValueError("most must not be smaller than start")
        return self


class RoutingSettings(Section, frozen=True):
    """Where calls go, and in which shape."""

    mode: Literal["single_node", "distributed"] = "single_node"
    """Whether inference nodes, where there are any, are asked in place of an agent's own provider."""
    unsupported_parameters: Literal["error", "warn", "drop"] = "warn"
    """What becomes of a parameter that the model does not take: the call fails, or it is left out, with a warning or
    without.
    """
    routes: Mapping[Name, RouteSettings] = Field(default_factory=dict[str, RouteSettings])
    """By name: for `agents.<name>.route`, and for calls that name one as their model."""
    health: HealthSettings = HealthSettings()
    """When a deployment that fails is left alone."""
    concurrency: ConcurrencySettings = ConcurrencySettings()
    """How many calls a deployment is given at once."""
