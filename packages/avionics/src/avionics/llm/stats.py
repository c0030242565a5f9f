"""What went through a gateway since it was made."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from avionics.llm.deployment_stats import DeploymentStats, DeploymentTally
from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallStarted

__all__ = ["GatewayStats", "StatsObserver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStats:
    """Sums. `calls` counts those that have ended, and is the sum of the four outcomes after it.

    `cost_usd` is the sum of the known costs; `calls_without_cost` says how many calls used tokens at an unknown price.
    `cache_hits` were answered by the response cache, which saved `saved_usd`. `deployments` has each one that was
    asked, by name.
    """

    calls: int = 0
    successes: int = 0
    errors: int = 0
    cancelled: int = 0
    abandoned: int = 0
    attempts: int = 0
    retries: int = 0
    fallbacks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    calls_without_cost: int = 0
    answers_by_provider: Mapping[str, int] = field(default_factory=dict[str, int])
    cache_hits: int = 0
    saved_usd: Decimal = Decimal(0)
    deployments: Mapping[str, DeploymentStats] = field(default_factory=dict[str, DeploymentStats])


class StatsObserver:
    """Counts calls from their records. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a stream that is collected as garbage may end a call inside this one
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._prompt_tokens = self._completion_tokens = self._without_cost = 0
        self._cost = self._saved = Decimal(0)
        self._hits = 0
        self._tallies: dict[str, DeploymentTally] = {}

    def snapshot(self) -> GatewayStats:
        """The sums now."""
        with self._lock:
            return GatewayStats(
                calls=self._outcomes.total(),
                successes=self._outcomes["success"],
                errors=self._outcomes["error"],
                cancelled=self._outcomes["cancelled"],
                abandoned=self._outcomes["abandoned"],
                attempts=self._reasons.total(),
                retries=self._reasons["retry"],
                fallbacks=self._reasons["fallback"],
                prompt_tokens=self._prompt_tokens,
                completion_tokens=self._completion_tokens,
                cost_usd=self._cost,
                calls_without_cost=self._without_cost,
                answers_by_provider=dict(self._answers),
                cache_hits=self._hits,
                saved_usd=self._saved,
                deployments={name: tally.stats() for name, tally in self._tallies.items()},
            )

    def call_started(self, _call: CallStarted) -> CallObservation:
        """Follows the call; it is counted when it ends."""
        return self

    def attempt_finished(self, _attempt: AttemptFinished) -> None:
        """The end of the call lists its attempts."""

    def call_finished(self, end: CallFinished) -> None:
        """Counts the call and its attempts."""
        usage = end.usage
        with self._lock:
            self._outcomes[end.outcome] += 1
            for attempt in end.attempts:
                self._reasons[attempt.reason] += 1
                name = attempt.deployment or attempt.provider
                if name not in self._tallies:
                    self._tallies[name] = DeploymentTally(name)
                self._tallies[name].count(attempt)
            self._hits += end.cache == "hit"
            self._saved += end.saved_usd or 0
            if end.outcome == "success" and end.provider:
                self._answers[end.provider] += 1
            if usage is not None:
                self._prompt_tokens += usage.input_tokens or 0
                self._completion_tokens += usage.output_tokens or 0
                self._without_cost += end.cost_usd is None
            self._cost += end.cost_usd or 0
