"""How deployments fared, from the call log: the same figures that a gateway keeps of those it asks itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

from airframe.errors import ErrorCategory
from avionics.calls.logged import LoggedAttempt
from avionics.llm.deployment_stats import DeploymentStats, DeploymentTally
from avionics.llm.records import AttemptFinished, AttemptReason, UsageSource
from avionics.llm.routing import HealthBoard, HealthPolicy

__all__ = ["deployment_stats"]

_NANOSECONDS = 1_000_000_000
_REMEMBERED = 86_400.0
"""Seconds after which an exchange has no say any more in whether a deployment is asked."""


def deployment_stats(
    attempts: Iterable[LoggedAttempt], *, now: float, policy: HealthPolicy | None = None
) -> Sequence[DeploymentStats]:
    """The figures of each deployment, by name.

    The breaker is that of a gateway that made all of these calls, at `now` (Unix seconds). How long a backend wanted to
    be left alone is not logged, so it may open for longer in truth.

    Args:
        attempts: in the order of their calls, those of one call in theirs.
        now: Unix seconds.
        policy: when a deployment is left alone; None is the default of the settings.
    """
    tallies: dict[str, DeploymentTally] = {}
    recent: list[AttemptFinished] = []
    for attempt, is_retried in _with_retries(attempts):
        record = _record(attempt)
        name = record.deployment or record.provider
        tallies.setdefault(name, DeploymentTally(name)).count(record)
        if not is_retried and _end(record) > now - _REMEMBERED:
            recent.append(record)
    board = _Replay(policy)
    for record in sorted(recent, key=_end):
        board.judge(record)
    return [board.watched(tally.stats(), now) for _, tally in sorted(tallies.items())]


class _Replay:
    """A health board to which time is what the log says."""

    def __init__(self, policy: HealthPolicy | None) -> None:
        self._now = 0.0
        self._board = HealthBoard(policy, clock=lambda: self._now)

    def judge(self, record: AttemptFinished) -> None:
        """An exchange has ended."""
        self._now = _end(record)
        name = record.deployment or record.provider
        if record.category is None:
            self._board.success(name, duration=record.duration)
        else:
            self._board.failure(name, category=record.category, duration=record.duration)

    def watched(self, stats: DeploymentStats, now: float) -> DeploymentStats:
        """The same figures, with the breaker at this time."""
        self._now = now
        ends = self._board.health(stats.name).cooldown_until
        opens_in = None if ends is None else max(ends - now, 0.0)
        return replace(stats, breaker=self._board.state(stats.name), opens_in=opens_in)


def _with_retries(attempts: Iterable[LoggedAttempt]) -> Iterator[tuple[LoggedAttempt, bool]]:
    """Each attempt, and whether it was retried: a gateway judges a deployment by what came of it in the end."""
    before: LoggedAttempt | None = None
    for attempt in attempts:
        if before is not None:
            yield before, attempt.reason == "retry" and attempt.call_id == before.call_id
        before = attempt
    if before is not None:
        yield before, False


def _record(attempt: LoggedAttempt) -> AttemptFinished:
    """The attempt as its gateway told of it, as far as its deployment's figures are concerned."""
    known = attempt.usage_source != "unknown"
    return AttemptFinished(
        number=attempt.number,
        reason=cast("AttemptReason", attempt.reason),
        provider=attempt.provider,
        model=attempt.model,
        server_address=attempt.server_address,
        server_port=attempt.server_port,
        started_at_ns=attempt.started_at_ns,
        duration=attempt.duration,
        time_to_first_event=attempt.time_to_first_event,
        category=None if attempt.category is None else _category(attempt.category),
        usage=attempt.usage if known else None,
        usage_source=cast("UsageSource", attempt.usage_source),
        cost_usd=attempt.cost_usd,
        deployment=attempt.deployment,
    )


def _category(name: str) -> ErrorCategory:
    """A log may be older, or newer, than this program."""
    return ErrorCategory(name) if name in set(ErrorCategory) else ErrorCategory.UNKNOWN


def _end(record: AttemptFinished) -> float:
    return record.started_at_ns / _NANOSECONDS + record.duration
