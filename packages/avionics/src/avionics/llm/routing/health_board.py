"""Who keeps the health of all deployments: the one place that the calls of a gateway share it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from airframe.errors import ErrorCategory
from avionics.llm.routing.health import (
    BreakerState,
    DeploymentHealth,
    HealthPolicy,
    after_failure,
    after_success,
    is_probed,
    state_of,
)

__all__ = ["HealthBoard"]

_MOST = 1000
"""Deployments that are remembered: calls may name any model, so there is no end to them. The longest idle one goes."""

_UNKNOWN = DeploymentHealth()
"""Of somebody who was never asked."""


class HealthBoard:
    """Health by the name of the deployment. Safe to use from several threads.

    Each exchange is announced by `begin` and ends with one of `success`, `failure` and `left`.

    Args:
        policy: when a deployment is left alone; None is the default of the settings.
        clock: seconds, never going back; the times in `DeploymentHealth` are its.
    """

    def __init__(self, policy: HealthPolicy | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy or HealthPolicy.from_settings()
        self.clock = clock
        self._lock = threading.RLock()  # a stream that is collected as garbage may end an exchange inside this one
        self._healths: dict[str, DeploymentHealth] = {}
        self._in_flight: dict[str, int] = {}
        """Counted apart, because two of three changes are to this number alone."""

    def health(self, name: str) -> DeploymentHealth:
        """How a deployment fares; one that was never asked is well."""
        with self._lock:
            health = self._stored(name)
            return replace(health, in_flight=self._in_flight[name]) if name in self._in_flight else health

    def state(self, name: str) -> BreakerState:
        """Whether it is asked, left alone, or tried now."""
        return state_of(self.health(name), self.clock())

    def snapshot(self) -> Mapping[str, DeploymentHealth]:
        """Everybody who was asked so far."""
        with self._lock:
            return {name: self.health(name) for name in self._healths}

    def claim_probe(self, name: str) -> bool:
        """Whether a deployment may be asked now, and if it is half open, the claim to be the one call that tries it.

        False only while another call is trying it. A claim lapses after five minutes, should nobody report.
        """
        with self._lock:
            health, now = self._stored(name), self.clock()
            if state_of(health, now) != "half_open":
                return True
            if is_probed(health, now):
                return False
            self._keep(name, replace(health, probing_since=now))
            return True

    def begin(self, name: str) -> None:
        """An exchange begins."""
        with self._lock:
            self._in_flight[name] = self._in_flight.get(name, 0) + 1
            self._keep(name, self._stored(name))

    def success(
        self, name: str, *, duration: float, first_event: float | None = None, tokens: int | None = None
    ) -> None:
        """It ended with an answer, after `duration` seconds; `tokens` is how many were said, None is unknown."""
        with self._lock:
            now = self.clock()
            health = self._ended(name, now - duration)
            health = after_success(
                health, now=now, duration=duration, first_event=first_event, tokens=tokens, policy=self.policy
            )
            self._keep(name, health)

    def failure(
        self, name: str, *, category: ErrorCategory, retry_after: float | None = None, duration: float | None = None
    ) -> None:
        """It failed, after `duration` seconds. What says nothing of the deployment only ends the exchange."""
        with self._lock:
            now = self.clock()
            began = None if duration is None else now - duration
            health = self._ended(name, began)
            health = after_failure(
                health, now=now, category=category, retry_after=retry_after, began=began, policy=self.policy
            )
            self._keep(name, health)

    def left(self, name: str, *, duration: float | None = None) -> None:
        """It was cancelled: no verdict. If it was trying the deployment, the next call does that."""
        with self._lock:
            began = None if duration is None else self.clock() - duration
            self._keep(name, self._ended(name, began))

    def _ended(self, name: str, began: float | None) -> DeploymentHealth:
        """An exchange less. One that began before a claim to try the deployment is not the one that tries it."""
        others = self._in_flight.pop(name, 0) - 1
        if others > 0:
            self._in_flight[name] = others
        health = self._stored(name)
        since = health.probing_since
        is_older = began is not None and since is not None and began < since
        return health if since is None or is_older else replace(health, probing_since=None)

    def _stored(self, name: str) -> DeploymentHealth:
        """Without the exchanges that are in flight."""
        return self._healths.get(name) or _UNKNOWN

    def _keep(self, name: str, health: DeploymentHealth) -> None:
        self._healths.pop(name, None)
        self._healths[name] = health  # at the end: the order is that of the last use
        if len(self._healths) > _MOST:
            idle = (other for other in self._healths if other not in self._in_flight and other != name)
            self._healths.pop(next(idle, name))
