"""What is known of a node: whether it can be asked, what it is occupied with, and how fast it was.

Pure: each event makes a new state of the old one, and the time is given. Times are seconds of one clock that never goes
back.

    up ──(calls fail, a probe fails)──> down ──(its wait is over)──> tried again: by a probe, or by one call
    up <──────────────(a probe finds it well, or a call is answered)──────────────┘

A node that is marked unhealthy stays so until it is marked healthy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from airframe.endpoints import HealthReport, HealthState, ServerLoad
from airframe.errors import ErrorCategory
from avionics.settings.nodes import NodeHealthSettings

__all__ = ["Down", "NodeState", "began", "ended", "marked", "probed", "why_not"]

_AT_ONCE = frozenset({ErrorCategory.CONNECTION})
_COUNTED = frozenset(
    {
        ErrorCategory.AUTH,
        ErrorCategory.LOADING,
        ErrorCategory.OVERLOADED,
        ErrorCategory.PERMISSION,
        ErrorCategory.PROTOCOL,
        ErrorCategory.RATE_LIMIT,
        ErrorCategory.SERVER,
        ErrorCategory.TIMEOUT,
        ErrorCategory.TLS,
        ErrorCategory.UNKNOWN,
    }
)
"""Failures that are the node's own. What a request is refused for, and who leaves, says nothing about the node."""

_FEWEST_TOKENS = 8
"""Of a shorter answer the time says more about the prompt than about the node's speed."""

_NEWEST_SHARE = 0.3
"""Of the moving average of the speed: what was measured five answers ago counts a sixth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """Since when a node is down and why, in words; `retry_at` is when it is tried again."""

    since: float
    why: str
    retry_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What is known of a node; None is unknown.

    Attributes:
        marked: somebody marked it unhealthy.
        down: why it is not asked; None while it is up.
        loading: it said that it loads its model.
        failures: calls that failed in a row.
        setbacks: how often it went down, or stayed so, without a call answered since; each doubles the wait.
        up_since: when it was last found well after having been down.
        in_flight: our own calls that are under way there.
        load: what it last said it is occupied with, at `reported_at`, when `in_flight_then` were under way.
        probe_at: when it is to be probed again; None is now.
        speed: tokens a second of its latest answers, a moving average, measured at `measured_at`.
    """

    marked: bool = False
    down: Down | None = None
    loading: bool = False
    failures: int = 0
    setbacks: int = 0
    up_since: float | None = None
    in_flight: int = 0
    load: ServerLoad | None = None
    reported_at: float | None = None
    in_flight_then: int = 0
    probe_at: float | None = None
    speed: float | None = None
    measured_at: float | None = None

    def load_at(self, now: float, health: NodeHealthSettings) -> ServerLoad:
        """What it is occupied with by its own word, if that is not too old."""
        fresh = self.reported_at is not None and now - self.reported_at <= health.report_lifetime
        return self.load if fresh and self.load else ServerLoad()

    def work_at(self, now: float, health: NodeHealthSettings) -> int:
        """How many requests are there, worked on or waiting: what it said, and what we began and ended since."""
        load = self.load_at(now, health)
        if load.busy_slots is None:
            return self.in_flight
        return max(self.in_flight, load.busy_slots + (load.waiting or 0) + self.in_flight - self.in_flight_then)

    def speed_at(self, now: float, health: NodeHealthSettings) -> float | None:
        """Tokens a second, if that was measured not too long ago."""
        fresh = self.measured_at is not None and now - self.measured_at <= health.speed_lifetime
        return self.speed if fresh else None


def why_not(state: NodeState, now: float, *, probed: bool) -> str | None:
    """Why a node is not asked now, in words; None when it may be.

    `probed` says that somebody probes it: then a probe tries it again. Else one call does, once its wait is over.
    """
    if state.marked:
        return "marked unhealthy"
    if state.loading and (probed or now < (state.probe_at or 0)):
        return "it loads its model"
    if state.down is None:
        return None
    wait = state.down.retry_at - now
    if wait > 0:
        return f"down for {now - state.down.since:.0f} s: {state.down.why}; tried again in {wait:.0f} s"
    if probed or state.in_flight:
        return f"down for {now - state.down.since:.0f} s: {state.down.why}; it is being tried again"
    return None


def marked(state: NodeState, *, healthy: bool) -> NodeState:
    """Somebody says how it is. Marked healthy, it is asked at once, whatever was before."""
    if not healthy:
        return replace(state, marked=True)
    return replace(state, marked=False, down=None, loading=False, failures=0, setbacks=0, probe_at=None)


def began(state: NodeState) -> NodeState:
    """A call is sent there."""
    return replace(state, in_flight=state.in_flight + 1)


def ended(
    state: NodeState,
    category: ErrorCategory | None,
    now: float,
    health: NodeHealthSettings,
    *,
    tokens: int | None = None,
    seconds: float | None = None,
) -> NodeState:
    """A call has ended: `category` is that of its failure, None is an answer, of so many tokens in so many seconds."""
    state = replace(state, in_flight=max(0, state.in_flight - 1))
    if category is None:
        answered = replace(state, down=None, loading=False, failures=0, setbacks=0)
        return _measured(answered, tokens, seconds, now)
    if category in _AT_ONCE:
        return _down(state, f"a call failed: {category}", now, health)
    if category not in _COUNTED:
        return state
    state = replace(state, failures=state.failures + 1)
    if state.failures < health.failures and state.down is None:
        return state
    return _down(state, f"calls failed, the last one: {category}", now, health)


def probed(
    state: NodeState, report: HealthReport, load: ServerLoad | None, now: float, health: NodeHealthSettings
) -> NodeState:
    """A probe has found this; `load` is None where nobody asked for it."""
    soon = now + (health.interval or health.longest_wait)
    if report.healthy:
        up_since = state.up_since if state.down is None else now
        well = replace(state, down=None, loading=False, failures=0, up_since=up_since, probe_at=soon)
        return _reported(well, load, now, health)
    if report.state is HealthState.LOADING:
        return replace(state, loading=True, probe_at=min(soon, now + health.first_wait))
    state = replace(state, loading=False, load=None, reported_at=None)
    detail = f"{report.state}: {report.detail}" if report.detail else str(report.state)
    return _down(state, f"a probe found it {detail}", now, health)


def _reported(state: NodeState, load: ServerLoad | None, now: float, health: NodeHealthSettings) -> NodeState:
    """A server that reads a long prompt does not tell its slots: what it told before holds as long as it is fresh."""
    tells_slots = load is not None and load.busy_slots is not None
    if not tells_slots and state.load_at(now, health).busy_slots is not None:
        return state
    return replace(state, load=load, reported_at=now, in_flight_then=state.in_flight)


def _down(state: NodeState, why: str, now: float, health: NodeHealthSettings) -> NodeState:
    """It is left alone for a while. Calls that fail meanwhile were sent before, and say nothing new."""
    if state.down is not None and now < state.down.retry_at:
        return state
    was_well = state.down is None and state.up_since is not None and now - state.up_since > health.longest_wait
    setbacks = 0 if was_well else state.setbacks
    wait = min(health.longest_wait, health.first_wait * 2 ** min(setbacks, 32))
    since = state.down.since if state.down else now
    down = Down(since=since, why=why, retry_at=now + wait)
    return replace(state, down=down, setbacks=setbacks + 1, probe_at=now + wait)


def _measured(state: NodeState, tokens: int | None, seconds: float | None, now: float) -> NodeState:
    if tokens is None or tokens < _FEWEST_TOKENS or not seconds or seconds <= 0:
        return state
    speed = tokens / seconds
    if state.speed is not None:
        speed = state.speed + _NEWEST_SHARE * (speed - state.speed)
    return replace(state, speed=speed, measured_at=now)
