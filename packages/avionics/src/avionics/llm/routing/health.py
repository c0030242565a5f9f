"""How a deployment fares, and when it is left alone: a circuit breaker with a rolling window. Pure.

Closed: it is asked. It opens after failures in a row, at a share of failures in the window, when the backend says how
long it wants to be left alone, and at once when the key or the account is the trouble. Open: it is not asked until its
cooldown ends. Half open: one call finds out whether it is well; if not, the next cooldown is longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, Self, TypeAlias

from airframe.errors import ErrorCategory
from avionics.llm.routing.moving_average import MovingAverage
from avionics.llm.routing.outcome_window import OutcomeWindow
from avionics.settings.routing import HealthSettings

__all__ = [
    "COUNTS",
    "LASTING",
    "BreakerState",
    "DeploymentHealth",
    "HealthPolicy",
    "after_failure",
    "after_success",
    "cooldown",
    "is_probed",
    "state_of",
]

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]

COUNTS: Mapping[ErrorCategory, bool] = MappingProxyType(
    {
        # They tell something of the deployment.
        ErrorCategory.AUTH: True,
        ErrorCategory.PERMISSION: True,
        ErrorCategory.BILLING: True,
        ErrorCategory.RATE_LIMIT: True,
        ErrorCategory.OVERLOADED: True,
        ErrorCategory.LOADING: True,
        ErrorCategory.NOT_FOUND: True,
        ErrorCategory.TIMEOUT: True,
        ErrorCategory.SERVER: True,
        ErrorCategory.CONNECTION: True,
        ErrorCategory.PROTOCOL: True,
        # They tell something of the request.
        ErrorCategory.INVALID_REQUEST: False,
        ErrorCategory.UNSUPPORTED: False,
        ErrorCategory.CONTEXT_LENGTH: False,
        ErrorCategory.CONTENT_FILTER: False,
        ErrorCategory.CONFLICT: False,
        ErrorCategory.CANCELLED: False,
        # Nobody knows of what.
        ErrorCategory.UNKNOWN: False,
        # Somebody may be listening in: passing over the deployment would hide that from the next call.
        ErrorCategory.TLS: False,
    }
)
"""Whether a failure of a category counts against the deployment."""

LASTING = frozenset({ErrorCategory.AUTH, ErrorCategory.BILLING})
"""Troubles that no pause ends: they open at once, for the longest cooldown, and waiting for its end is in vain."""

_PROBE_LAPSES = 300.0
"""Seconds after which a claim to try a deployment is void. Nobody reports so late but who was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """When a deployment is left alone; each field has the meaning that it has in `HealthSettings`."""

    window: float
    failures: int
    failure_rate: float
    least_calls: int
    cooldown: float
    longest_cooldown: float
    growth: float

    @classmethod
    def from_settings(cls, settings: HealthSettings | None = None) -> Self:
        """What `routing.health` says; None is its defaults."""
        return cls(**dict(settings or HealthSettings()))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentHealth:
    """How one deployment fares. Times are those of the clock that the events were reported with.

    Attributes:
        outcomes: successes and counted failures of the last while.
        failures_in_row: counted failures since the last success.
        latency: seconds until a whole answer; a slow one counts at once, a fast one slowly.
        first_event: seconds until the first event of a stream, likewise.
        tokens_per_second: of what was said after the first event.
        in_flight: exchanges that have begun and not ended.
        opened_at: when the breaker opened last; None when it is closed.
        cooldown_until: when somebody may be asked again; None when it is closed.
        openings: how often it opened without a success in between.
        reason: the category of the failure that opened it.
        probing_since: when a call set out to find whether it is well; None when none is under way.
    """

    outcomes: OutcomeWindow = field(default_factory=OutcomeWindow)
    failures_in_row: int = 0
    latency: MovingAverage = field(default_factory=MovingAverage)
    first_event: MovingAverage = field(default_factory=MovingAverage)
    tokens_per_second: MovingAverage = field(default_factory=lambda: MovingAverage(peaks=False))
    in_flight: int = 0
    opened_at: float | None = None
    cooldown_until: float | None = None
    openings: int = 0
    reason: ErrorCategory | None = None
    probing_since: float | None = None


def state_of(health: DeploymentHealth, now: float) -> BreakerState:
    """Whether it is asked, left alone, or tried."""
    if health.cooldown_until is None:
        return "closed"
    return "open" if now < health.cooldown_until else "half_open"


def is_probed(health: DeploymentHealth, now: float) -> bool:
    """Whether a call is on its way to find out whether a half open deployment is well."""
    return health.probing_since is not None and now - health.probing_since < _PROBE_LAPSES


def after_success(
    health: DeploymentHealth,
    *,
    now: float,
    duration: float,
    policy: HealthPolicy,
    first_event: float | None = None,
    tokens: int | None = None,
) -> DeploymentHealth:
    """After an answer that took `duration` seconds, of which `first_event` until its first event, with `tokens`.

    While it is open nothing else changes: the answer may be to a question from before.
    """
    saying = duration - (first_event or 0.0)
    health = replace(
        health,
        outcomes=health.outcomes.with_success(now, policy.window),
        failures_in_row=0,
        latency=health.latency.with_sample(duration, now),
        first_event=health.first_event if first_event is None else health.first_event.with_sample(first_event, now),
        tokens_per_second=(
            health.tokens_per_second.with_sample(tokens / saying, now)
            if tokens and saying > 0
            else health.tokens_per_second
        ),
    )
    return _closed(health) if state_of(health, now) == "half_open" else health


def after_failure(
    health: DeploymentHealth,
    *,
    now: float,
    category: ErrorCategory,
    policy: HealthPolicy,
    retry_after: float | None = None,
    began: float | None = None,
) -> DeploymentHealth:
    """After a failure. `began` is when the exchange began, `retry_after` the seconds for which the backend wants peace.

    What began before the breaker opened says nothing about its being well now: it only counts.
    """
    if not COUNTS[category]:
        return health
    health = replace(
        health,
        outcomes=health.outcomes.with_failure(now, policy.window),
        failures_in_row=health.failures_in_row + 1,
    )
    if health.opened_at is not None:
        stale = began is not None and began < health.opened_at
        if state_of(health, now) == "half_open" and not stale:
            return _opened(health, now, category, retry_after, policy)
        return _longer(health, now, category, retry_after, policy)
    if _opens(health, now, category, retry_after, policy):
        return _opened(health, now, category, retry_after, policy)
    return health


def cooldown(openings: int, category: ErrorCategory, retry_after: float | None, policy: HealthPolicy) -> float:
    """Seconds for which a deployment is left alone that was not well `openings` times before, in a row.

    The first time it is what the backend asks for, after that at least so long. Nothing is random: whoever waits for
    the end is woken by it, and only one call tries the deployment then, so there is no crowd to spread.
    """
    if category in LASTING:
        return policy.longest_cooldown
    if retry_after is not None and openings == 0:
        return min(retry_after, policy.longest_cooldown)
    try:
        grown = policy.cooldown * policy.growth**openings
    except OverflowError:
        return policy.longest_cooldown
    return min(max(grown, retry_after or 0.0), policy.longest_cooldown)


def _opens(
    health: DeploymentHealth, now: float, category: ErrorCategory, retry_after: float | None, policy: HealthPolicy
) -> bool:
    failures, calls = health.outcomes.counts(now, policy.window)
    return (
        category in LASTING
        or retry_after is not None
        or health.failures_in_row >= policy.failures
        or (calls >= policy.least_calls and failures / calls >= policy.failure_rate)
    )


def _opened(
    health: DeploymentHealth, now: float, category: ErrorCategory, retry_after: float | None, policy: HealthPolicy
) -> DeploymentHealth:
    return replace(
        health,
        opened_at=now,
        cooldown_until=now + cooldown(health.openings, category, retry_after, policy),
        openings=health.openings + 1,
        reason=category,
        probing_since=None,
    )


def _longer(
    health: DeploymentHealth, now: float, category: ErrorCategory, retry_after: float | None, policy: HealthPolicy
) -> DeploymentHealth:
    """Left alone for longer, if the failure asks for that; it is the same opening."""
    if category not in LASTING and retry_after is None:
        return health
    until = now + cooldown(0, category, retry_after, policy)
    if health.cooldown_until is not None and until <= health.cooldown_until:
        return health
    return replace(health, cooldown_until=until, reason=category)


def _closed(health: DeploymentHealth) -> DeploymentHealth:
    """Well again. What was counted before is forgotten, or the next failure would open it at once."""
    return replace(
        health,
        outcomes=OutcomeWindow(),
        opened_at=None,
        cooldown_until=None,
        openings=0,
        reason=None,
        probing_since=None,
    )
