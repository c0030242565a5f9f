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

    def health(self, name: str) -> DeploymentHealth:
        """How a deployment fares; one that was never asked is well."""
        with self._lock:
            return self._healths.get(name) or DeploymentHealth()

    def state(self, name: str) -> BreakerState:
        """Whether it is asked, left alone, or tried now."""
        return state_of(self.health(name), self.clock())

    def snapshot(self) -> Mapping[str, DeploymentHealth]:
        """Everybody who was asked so far."""
        with self._lock:
            return dict(self._healths)

    def claim_probe(self, name: str) -> bool:
        """Whether a deployment may be asked now, and if it is half open, the claim to be the one call that tries it.

        False only while another call is trying it. A claim lapses after five minutes, should nobody report.
        """
        with self._lock:
            health, now = self.health(name), self.clock()
            if state_of(health, now) != "half_open":
                return True
            if is_probed(health, now):
                return False
            self._keep(name, replace(health, probing_since=now))
            return True

    def begin(self, name: str) -> None:
        """An exchange begins."""
        with self._lock:
            health = self.health(name)
            self._keep(name, replace(health, in_flight=health.in_flight + 1))

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
        health = self.health(name)
        since = health.probing_since
        is_older = began is not None and since is not None and began < since
        return replace(health, in_flight=max(0, health.in_flight - 1), probing_since=since if is_older else None)

    def _keep(self, name: str, health: DeploymentHealth) -> None:
        self._healths.pop(name, None)
        self._healths[name] = health  # at the end: the order is that of the last use
        if len(self._healths) > _MOST:
            idle = (other for other, its in self._healths.items() if not its.in_flight and other != name)
            self._healths.pop(next(idle, name))
