"""Equals in an order, best first: the others are the fallbacks of the best. Pure: chance and turn are given.

A deployment stays together with its backups: it is compared with others, and they follow it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType

from avionics.llm.routing.deployment import Deployment
from avionics.llm.routing.health import DeploymentHealth
from avionics.settings.routing import Balancing

__all__ = ["Family", "Situation", "families", "ordered"]


@dataclass(frozen=True, slots=True)
class Family:
    """A deployment and what can be asked now of it and its backups, in order."""

    primary: Deployment
    members: tuple[Deployment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What an order depends on besides the deployments.

    Attributes:
        healths: by the name of the deployment; who is missing was never asked.
        costs: in USD, what this call would cost at each, by name; None and missing are unknown.
        draw: where chance comes from.
        turn: which call of the route this is, for `round_robin`.
        affinity: what calls have in common that should go to the same place; None goes anywhere.
        now: the moment on the clock of `healths`.
    """

    healths: Mapping[str, DeploymentHealth] = field(default_factory=dict[str, DeploymentHealth])
    costs: Mapping[str, Decimal | None] = field(default_factory=dict[str, "Decimal | None"])
    draw: random.Random = field(default_factory=random.Random)
    turn: int = 0
    affinity: str | None = None
    now: float = 0.0

    def health(self, family: Family) -> DeploymentHealth:
        """How the one fares that would be asked first."""
        return self.healths.get(family.members[0].name) or DeploymentHealth()

    def cost(self, family: Family) -> Decimal | None:
        """What that one costs."""
        return self.costs.get(family.members[0].name)


def families(deployments: Sequence[Deployment]) -> tuple[Family, ...]:
    """The deployments of a tier, each with the backups that follow it."""
    groups: list[list[Deployment]] = []
    for deployment in deployments:
        if deployment.backup is None or not groups:
            groups.append([])
        groups[-1].append(deployment)
    return tuple(Family(group[0], tuple(group)) for group in groups)


def ordered(equals: Sequence[Family], balancing: Balancing, situation: Situation) -> tuple[Deployment, ...]:
    """All members of all families, best first; those of weight 0 come last, as they are listed."""
    weighty = [family for family in equals if family.primary.weight > 0]
    rest = [family for family in equals if family.primary.weight <= 0]
    if balancing == "ordered":
        order = list(equals)
    else:
        order = [*(_STRATEGIES[balancing](weighty, situation) if len(weighty) > 1 else weighty), *rest]
    return tuple(deployment for family in order for deployment in family.members)


def _weighted(equals: Sequence[Family], situation: Situation) -> list[Family]:
    """Random without replacement, each with its share of what is left (Efraimidis and Spirakis, 2006)."""
    keys = [-math.log(1 - situation.draw.random()) / family.primary.weight for family in equals]
    return [equals[place] for place in sorted(range(len(equals)), key=keys.__getitem__)]


def _round_robin(equals: Sequence[Family], situation: Situation) -> list[Family]:
    """By turns, evenly mixed; the others in the order in which their turns come next."""
    schedule = _schedule(tuple(family.primary.weight for family in equals))
    start = situation.turn % len(schedule)
    return [equals[place] for place in dict.fromkeys(schedule[start:] + schedule[:start])]


def _least_busy(equals: Sequence[Family], situation: Situation) -> list[Family]:
    """Who has the fewest exchanges in flight for its weight; among those alike, by chance."""
    return sorted(
        _weighted(equals, situation), key=lambda family: situation.health(family).in_flight / family.primary.weight
    )


def _lowest_latency(equals: Sequence[Family], situation: Situation) -> list[Family]:
    """The better of two drawn by chance, again and again.

    Not the best of all: calls would follow each other to the one that was fastest a moment ago, and make it slow.
    """
    waiting, order = list(equals), list[Family]()
    while len(waiting) > 1:
        one, other, *_ = _weighted(waiting, situation)
        order.append(other if _is_slower(one, other, situation) else one)
        waiting.remove(order[-1])
    return [*order, *waiting]


def _lowest_cost(equals: Sequence[Family], situation: Situation) -> list[Family]:
    """The cheapest first. Those of unknown price come last: unknown is not cheap. Among those alike, by chance."""
    order = _weighted(equals, situation)
    known = [(cost, family) for family in order if (cost := situation.cost(family)) is not None]
    unknown = [family for family in order if situation.cost(family) is None]
    return [*(family for _, family in sorted(known, key=lambda pair: pair[0])), *unknown]


def _sticky(equals: Sequence[Family], situation: Situation) -> list[Family]:
    """By weighted rendezvous: each deployment draws from a hash of the affinity, so that when one goes, only the calls
    that went there move. Without affinity, by chance.
    """
    if situation.affinity is None:
        return _weighted(equals, situation)
    affinity = situation.affinity
    return sorted(equals, key=lambda family: -math.log(_share(affinity, family.primary.name)) / family.primary.weight)


_STRATEGIES: Mapping[Balancing, Callable[[Sequence[Family], Situation], list[Family]]] = MappingProxyType(
    {
        "weighted": _weighted,
        "round_robin": _round_robin,
        "least_busy": _least_busy,
        "lowest_latency": _lowest_latency,
        "lowest_cost": _lowest_cost,
        "sticky": _sticky,
    }
)


def _is_slower(one: Family, other: Family, situation: Situation) -> bool:
    """By expected seconds until the first event where both are known by streams, else until the whole answer; each
    times those who would wait for it. Who was never measured is tried first, but by one call at a time.
    """
    healths = situation.health(one), situation.health(other)
    streams = [health.first_event.faded(situation.now) for health in healths]
    wholes = [health.latency.faded(situation.now) for health in healths]
    seconds = wholes if None in streams else streams
    mine, its = (
        (math.inf if health.in_flight else 0.0) if latency is None else latency * (health.in_flight + 1)
        for latency, health in zip(seconds, healths, strict=True)
    )
    return mine > its


_PARTS = 100
"""Weights are told apart to a hundredth by `round_robin`."""

_LONGEST_PERIOD = 1000
"""Turns after which `round_robin` begins anew; finer shares than a thousandth are rounded."""


@lru_cache(maxsize=256)
def _schedule(weights: tuple[float, ...]) -> tuple[int, ...]:
    """Whose turn it is, over one period: smooth weighted round robin, as nginx has it."""
    shares = _shares(weights)
    credit, turns = [0] * len(shares), list[int]()
    for _ in range(sum(shares)):
        credit = [have + share for have, share in zip(credit, shares, strict=True)]
        turns.append(max(range(len(shares)), key=credit.__getitem__))
        credit[turns[-1]] -= sum(shares)
    return tuple(turns)


def _shares(weights: Sequence[float]) -> list[int]:
    whole = [max(1, round(weight * _PARTS)) for weight in weights]
    shares = [weight // math.gcd(*whole) for weight in whole]
    period = sum(shares)
    return shares if period <= _LONGEST_PERIOD else [max(1, share * _LONGEST_PERIOD // period) for share in shares]


def _share(affinity: str, name: str) -> float:
    """A number between 0 and 1, both excluded, that is always the same for the two."""
    digest = blake2b(f"{affinity}\0{name}".encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**56
