"""What is measured: which answer is asked for, how often, how many at once, and per what it is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

__all__ = ["FULL", "QUICK", "TINY", "Scenario", "Unit"]

Unit: TypeAlias = Literal["event", "call", "first event"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the table.

    Attributes:
        name: what the table says.
        kind: what the upstream does with it; see `bench.upstream`.
        size: events of a stream, or characters of a whole answer.
        unit: what the CPU time is divided by.
        turns: messages of history that go with each question.
        at_once: calls in flight together.
        repeats: how often that is done in one round.
        fresh: in a process of its own, whose memory is measured.
    """

    name: str
    kind: str
    size: int
    unit: Unit
    turns: int = 0
    at_once: int = 1
    repeats: int = 1
    fresh: bool = False

    @property
    def streamed(self) -> bool:
        """Whether the answer comes as a stream."""
        return self.kind not in {"whole", "held"}

    @property
    def units(self) -> int:
        """How many events or calls one repeat has."""
        return self.at_once * self.size if self.unit == "event" else self.at_once

    @property
    def connections(self) -> int:
        """How many connections a client may hold: 100, as is usual, or as many as there are calls in flight."""
        return max(100, self.at_once)

    @property
    def question(self) -> str:
        """What the user says."""
        return f"bench {self.kind} {self.size}"


FULL: Sequence[Scenario] = (
    Scenario(name="burst, one chunk per event", kind="burst", size=2000, unit="event", repeats=10),
    Scenario(name="burst, 16 kB pieces", kind="pieces", size=2000, unit="event", repeats=10),
    Scenario(name="burst, chunks all unlike", kind="unlike", size=2000, unit="event", repeats=10),
    Scenario(name="one network read per event", kind="paced", size=500, unit="event"),
    Scenario(name="tool arguments", kind="tools", size=2000, unit="event", repeats=10),
    Scenario(name="whole answer of 2 kB", kind="whole", size=2000, unit="call", repeats=200),
    Scenario(name="100 turns of history", kind="whole", size=2000, unit="call", turns=100, repeats=100),
    Scenario(name="50 calls at once", kind="held", size=2000, unit="call", at_once=50, repeats=6),
    Scenario(name="500 calls at once", kind="held", size=2000, unit="call", at_once=500),
    Scenario(name="call to first event", kind="burst", size=10, unit="first event", repeats=200),
    Scenario(name="1,000 slow streams", kind="slow", size=20, unit="event", at_once=1000, fresh=True),
)

_FEWER = {"burst": 3, "pieces": 3, "unlike": 3, "tools": 3, "whole": 40, "held": 2}


def _quick(scenario: Scenario) -> Scenario:
    if scenario.kind in {"paced", "slow"}:
        return replace(scenario, size={"paced": 200, "slow": 8}[scenario.kind])
    return replace(scenario, repeats=min(scenario.repeats, 40 if scenario.size == 10 else _FEWER[scenario.kind]))


QUICK: Sequence[Scenario] = [_quick(scenario) for scenario in FULL]

TINY: Sequence[Scenario] = [
    replace(
        scenario,
        kind=scenario.kind.replace("slow", "paced"),
        size=3,
        turns=min(scenario.turns, 2),
        at_once=min(scenario.at_once, 2),
        repeats=1,
    )
    for scenario in FULL
]
