"""How each deployment fared: counts, spread of times, speed and spending, from the records of its exchanges."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from airframe.errors import ErrorCategory
from avionics.llm.records import AttemptFinished
from avionics.llm.routing import BreakerState

__all__ = ["DeploymentStats", "DeploymentTally", "Spread"]

_KEPT = 1000
"""Times of so many last exchanges are kept: enough for a 95th percentile, little enough to sort at once."""

_SHORTEST = 0.05
"""Seconds. An answer that took less came in one read: its speed would be that of the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Half of the times were no longer than `p50`, 95 of 100 no longer than `p95`; seconds, None without any."""

    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentStats:
    """One deployment, or a provider where records name no deployment.

    Attributes:
        name: of the deployment.
        exchanges: how many have ended; retries count.
        answers: those that ended with an answer.
        errors: the others, by category; cancelled ones are among them.
        latency: seconds until an answer was whole.
        first_event: seconds until the first event of a stream.
        tokens_per_second: of answers, after their first event where they were streamed; None is unknown.
        spent_usd: the sum of the known costs.
        without_cost: exchanges that used tokens at an unknown price.
        breaker: whether it is asked now; None where nobody keeps watch.
        opens_in: seconds until it is asked again, when it is not.
        in_flight: exchanges that are under way.
    """

    name: str
    exchanges: int = 0
    answers: int = 0
    errors: Mapping[ErrorCategory, int] = field(default_factory=dict[ErrorCategory, int])
    latency: Spread = field(default_factory=Spread)
    first_event: Spread = field(default_factory=Spread)
    tokens_per_second: float | None = None
    spent_usd: Decimal = Decimal(0)
    without_cost: int = 0
    breaker: BreakerState | None = None
    opens_in: float | None = None
    in_flight: int = 0


class DeploymentTally:
    """Counts the exchanges of one deployment."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._errors = Counter[ErrorCategory]()
        self._answers = 0
        self._latencies = deque[float](maxlen=_KEPT)
        self._first_events = deque[float](maxlen=_KEPT)
        self._tokens, self._seconds = 0, 0.0
        self._spent, self._without_cost = Decimal(0), 0

    def count(self, attempt: AttemptFinished) -> None:
        """An exchange has ended."""
        if attempt.category is None:
            self._answers += 1
            self._latencies.append(attempt.duration)
            self._count_speed(attempt)
        else:
            self._errors[attempt.category] += 1
        if attempt.time_to_first_event is not None:
            self._first_events.append(attempt.time_to_first_event)
        if attempt.cost_usd is not None:
            self._spent += attempt.cost_usd
        elif attempt.usage is not None:
            self._without_cost += 1

    def stats(self) -> DeploymentStats:
        """The counts so far."""
        return DeploymentStats(
            name=self._name,
            exchanges=self._answers + self._errors.total(),
            answers=self._answers,
            errors=dict(self._errors),
            latency=_spread(self._latencies),
            first_event=_spread(self._first_events),
            tokens_per_second=self._tokens / self._seconds if self._seconds else None,
            spent_usd=self._spent,
            without_cost=self._without_cost,
        )

    def _count_speed(self, attempt: AttemptFinished) -> None:
        tokens = attempt.usage.output_tokens if attempt.usage else None
        seconds = attempt.duration - (attempt.time_to_first_event or 0.0)
        if tokens and seconds >= _SHORTEST:
            self._tokens += tokens
            self._seconds += seconds


def _spread(times: Iterable[float]) -> Spread:
    ordered = sorted(times)
    if not ordered:
        return Spread()
    return Spread(p50=_quantile(ordered, 0.5), p95=_quantile(ordered, 0.95))


def _quantile(ordered: list[float], share: float) -> float:
    """The smallest of the times that at least this share of them does not exceed."""
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)]
