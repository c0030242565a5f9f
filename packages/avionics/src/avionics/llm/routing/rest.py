"""Who is left alone at the moment, why, and whether waiting helps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from avionics.llm.routing.deployment import Deployment
from avionics.llm.routing.failover import fails_over
from avionics.llm.routing.health import LASTING, DeploymentHealth, is_probed, state_of

__all__ = ["Rest", "rest_of"]

PROBE_TAKES = 0.25
"""Seconds after which to look again for what a call has found that tries a deployment: soon enough for a fast one, and
few looks for a slow one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Why a deployment is left alone. `until` is when to look again; None where waiting does not help."""

    reason: str
    until: float | None = None


def rest_of(
    deployment: Deployment, primary: Deployment, healths: Mapping[str, DeploymentHealth], now: float
) -> Rest | None:
    """Why it is left alone; None when it may be asked.

    A backup rests with its provider where that is left alone for what both share: key, account, model, quota.
    """
    if (health := healths.get(deployment.name)) and (own := _own(health, now)):
        return own
    first = healths.get(primary.name)
    if deployment is primary or first is None or first.reason is None or state_of(first, now) != "open":
        return None
    if fails_over(first.reason, deployment):
        return None
    return Rest(reason=f"it shares with {primary.name} what that one is left alone for: {first.reason}")


def _own(health: DeploymentHealth, now: float) -> Rest | None:
    state = state_of(health, now)
    if state == "half_open" and is_probed(health, now):
        return Rest(reason="another call is finding out whether it is well again", until=now + PROBE_TAKES)
    if state != "open" or health.cooldown_until is None:
        return None
    left = health.cooldown_until - now
    reason = (
        f"it is left alone for another {left:.3g} s, after {health.failures_in_row} failures, the last: {health.reason}"
    )
    return Rest(reason=reason, until=None if health.reason in LASTING else health.cooldown_until)
