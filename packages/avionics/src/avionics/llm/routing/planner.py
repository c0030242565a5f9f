"""Whom a call asks, in order, and why not the others. Pure: the same arguments give the same plan."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from avionics.llm.catalog.model_spec import ModelSpec
from avionics.llm.routing.balancing import Family, Situation, families, ordered
from avionics.llm.routing.deployment import Deployment
from avionics.llm.routing.eligibility import why_not
from avionics.llm.routing.health import DeploymentHealth
from avionics.llm.routing.needs import Circumstances, Needs
from avionics.llm.routing.rest import Rest, rest_of
from avionics.llm.routing.route import Route, Tier

__all__ = ["Exclusion", "RoutePlan", "plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A deployment that is not asked, and the reason in words."""

    deployment: Deployment
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePlan:
    """Whom a call asks.

    Attributes:
        route: what was planned.
        candidates: whom to ask, in order.
        exclusions: who is not asked. Each deployment of the route's tiers is in one of the two, once.
        resting: those of the excluded who are only left alone for a while, the first to be asked again first.
        opens_at: where there is no candidate, but waiting helps: until when, on the clock of the healths.
        context_length: whom to ask when the prompt is too long, where the route says that.
        content_filter: whom to ask when the prompt or the answer was blocked.
        needs: what the request asks for.
        specs: what is known of the models, by the name of the deployment.
    """

    route: Route
    candidates: tuple[Deployment, ...]
    exclusions: tuple[Exclusion, ...] = ()
    resting: tuple[Deployment, ...] = ()
    opens_at: float | None = None
    context_length: tuple[Deployment, ...] = ()
    content_filter: tuple[Deployment, ...] = ()
    needs: Needs = field(default_factory=Needs)
    specs: Mapping[str, ModelSpec | None] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def targets(self) -> tuple[Deployment, ...]:
        """Whom to ask, in order; at the end who is left alone: when all others have failed, it is waited for them."""
        return (*self.candidates, *self.resting)

    def longer_windows(self, remaining: Iterable[Deployment], failed: Deployment) -> tuple[Deployment, ...]:
        """Whom to ask when the prompt was too long for `failed`.

        That is the route's own chain for it, else those of `remaining` that are known to have a larger window. Where
        the window of `failed` is unknown, it is those into whose window our estimate of the prompt fits.
        """
        if self.route.context_length:
            return tuple(each for each in self.context_length if each.name != failed.name)
        least = self._window(failed) or self.needs.input_tokens
        return tuple(each for each in remaining if (self._window(each) or 0) > least)

    def _window(self, deployment: Deployment) -> int | None:
        spec = self.specs.get(deployment.name)
        return spec.context_window if spec else None


def plan(
    route: Route,
    needs: Needs,
    circumstances: Circumstances,
    *,
    specs: Mapping[str, ModelSpec | None],
    healths: Mapping[str, DeploymentHealth],
    costs: Mapping[str, Decimal | None] | None = None,
    draw: random.Random | None = None,
    turn: int = 0,
    now: float,
) -> RoutePlan:
    """Whom to ask for a call.

    Args:
        route: who there is.
        needs: what the request asks for.
        circumstances: for whom and when.
        specs: what is known of the models, by the name of the deployment; missing is unknown.
        healths: how the deployments fare, likewise; missing was never asked.
        costs: in USD, what the call would cost, likewise; for `lowest_cost`.
        draw: where chance comes from; None is a new generator, seeded by the system.
        turn: which call of the route this is; for `round_robin`.
        now: the moment on the clock of `healths`.
    """
    draw = draw or random.Random()  # noqa: S311 - it balances load
    situation = Situation(
        healths=healths, costs=costs or {}, draw=draw, turn=turn, affinity=circumstances.affinity, now=now
    )

    def judged(tiers: tuple[Tier, ...]) -> _Chain:
        if not tiers:
            return _NOBODY
        return _judged(tiers, situation, lambda each: why_not(each, needs, circumstances, specs.get(each.name)))

    main = judged(route.tiers).or_last_resort()
    return RoutePlan(
        route=route,
        candidates=main.candidates,
        exclusions=main.exclusions,
        resting=main.waitable,
        opens_at=main.opens_at,
        context_length=judged(route.context_length).candidates,
        content_filter=judged(route.content_filter).candidates,
        needs=needs,
        specs=specs,
    )


@dataclass(frozen=True, slots=True)
class _Chain:
    """Some tiers, judged: whom to ask, who cannot serve, and who is left alone."""

    candidates: tuple[Deployment, ...]
    unfit: tuple[Exclusion, ...]
    resting: tuple[tuple[Deployment, Rest], ...]

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        return (*self.unfit, *(Exclusion(deployment=each, reason=rest.reason) for each, rest in self.resting))

    @property
    def waitable(self) -> tuple[Deployment, ...]:
        """Whom waiting helps, in the order in which they may be asked again."""
        moments = [(rest.until, each) for each, rest in self.resting if rest.until is not None]
        return tuple(each for _, each in sorted(moments, key=lambda pair: pair[0]))

    @property
    def opens_at(self) -> float | None:
        moments = [rest.until for _, rest in self.resting if rest.until is not None]
        return None if self.candidates else min(moments, default=None)

    def or_last_resort(self) -> _Chain:
        """The same; but where nobody is left and waiting does not help, those are asked whom it does not help.

        Nobody is spared by silence then, and the backend says itself what is wrong, if it still is.
        """
        if self.candidates or self.opens_at is not None:
            return self
        return _Chain(tuple(each for each, _ in self.resting), self.unfit, ())


_NOBODY = _Chain((), (), ())


def _judged(tiers: Iterable[Tier], situation: Situation, unfit: Callable[[Deployment], str | None]) -> _Chain:
    candidates: list[Deployment] = []
    excluded: list[Exclusion] = []
    resting: list[tuple[Deployment, Rest]] = []
    for tier in tiers:
        able: list[Family] = []
        for family in families(tier.deployments):
            members: list[Deployment] = []
            for deployment in family.members:
                if reason := unfit(deployment):
                    excluded.append(Exclusion(deployment=deployment, reason=reason))
                elif rest := rest_of(deployment, family.primary, situation.healths, situation.now):
                    resting.append((deployment, rest))
                else:
                    members.append(deployment)
            if members:
                able.append(Family(family.primary, tuple(members)))
        candidates += ordered(able, tier.balancing, situation)
    return _Chain(tuple(candidates), tuple(excluded), tuple(resting))
