"""From the settings to routes: for an agent, for a call that names a model, a route or a provider. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Self

from avionics.errors import ConfigurationError
from avionics.llm.catalog.model_id import PROVIDERS, parse_model_id
from avionics.llm.routing.deployment import Conditions, Deployment
from avionics.llm.routing.route import Route, RoutePolicy, Tier
from avionics.settings import AgentSettings, LLMConfig, Settings
from avionics.settings.routing import Chain, ConditionSettings, DeploymentSettings, RouteSettings
from avionics.settings.settings import DEFAULT_AGENT

__all__ = ["RouteTable"]


class RouteTable:
    """All routes of the settings. Immutable.

    Args:
        settings: what agents, routes, providers and models there are.
        fallback_providers: asked in place of the settings' `fallbacks`; None takes those. A route of
            `routing.routes` has its own order and is not changed by them.
        backups: how many backup endpoints each ready-made provider has, by name; others have those of the settings.
    """

    def __init__(
        self,
        settings: Settings,
        fallback_providers: Sequence[str] | None = None,
        backups: Mapping[str, int] | None = None,
    ) -> None:
        self._settings = settings
        self._fallbacks = fallback_providers
        self._backups = dict(backups or {})
        self._routes = {name: self._described(name, route) for name, route in settings.routing.routes.items()}
        self._agents = {name: self._of_agent(name) for name in (DEFAULT_AGENT, *settings.agents)}

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        fallback_providers: Sequence[str] | None = None,
        backups: Mapping[str, int] | None = None,
    ) -> Self:
        """The routes of these settings. Raises `ConfigurationError` for a deployment that stands twice in a chain."""
        return cls(settings, fallback_providers, backups)

    def __iter__(self) -> Iterator[Route]:
        """Every route: those of `routing.routes`, then those of agents that have one of their own."""
        yield from self._routes.values()
        yield from (route for route in self._agents.values() if route.name not in self._routes)

    def providers(self) -> tuple[str, ...]:
        """The names of all providers that a call may be sent to, the default route's first."""
        routes = (self._agents[DEFAULT_AGENT], *self)
        return tuple(dict.fromkeys(each.provider for route in routes for each in route.deployments()))

    def find(self, agent_name: str | None = None, *, model: str | None = None, provider: str | None = None) -> Route:
        """Whom to ask for a call.

        Args:
            agent_name: an agent without an entry is answered as `default`.
            model: a route of that name; else an alias or a model, which the first provider is asked for, or the one
                that the alias names. Who comes after it is asked for what it is always asked for.
            provider: only this one and its backups.
        """
        if provider is not None:
            return self._only(provider, agent_name, model)
        if model is not None and model in self._routes:
            return self._routes[model]
        route = self._agents.get(agent_name or DEFAULT_AGENT) or self._agents[DEFAULT_AGENT]
        return route if model is None else self._asked_for(model, route)

    def _described(self, name: str, route: RouteSettings) -> Route:
        hedge = route.hedge
        policy = RoutePolicy(
            total=route.total,
            hedge_after=hedge.after if hedge else None,
            hedge_most=hedge.most if hedge else RoutePolicy().hedge_most,
            max_attempts=route.max_attempts,
            stream=route.stream,
        )
        chains = {
            chain: self._tiers(f"routing.routes.{name}.{chain}", getattr(route, chain), route)
            for chain in ("deployments", "context_length", "content_filter")
        }
        return Route(name=name, tiers=chains.pop("deployments"), policy=policy, **chains)

    def _tiers(self, path: str, chain: Chain, route: RouteSettings) -> tuple[Tier, ...]:
        groups = [[each for deployment in group for each in self._with_backups(_read(deployment))] for group in chain]
        names = [each.name for group in groups for each in group]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ConfigurationError(f"{path}: {twice} stands there twice; keep one of them")
        return tuple(Tier(deployments=tuple(group), balancing=route.balancing) for group in groups)

    def _of_agent(self, name: str) -> Route:
        agent = self._settings.agent(name)
        if agent.route is not None:
            return self._routes[agent.route]
        return Route(name=name, tiers=_tiers_of(map(self._with_backups, self._in_order(agent))))

    def _in_order(self, agent: AgentSettings) -> Iterable[Deployment]:
        first = agent.provider or self._settings.first_provider()
        fallbacks = self._fallbacks if self._fallbacks is not None else agent.fallbacks or ()
        yield Deployment(provider=first, model=agent.model)
        yield from (Deployment(provider=name) for name in dict.fromkeys(fallbacks) if name != first)

    def _only(self, provider: str, agent_name: str | None, model: str | None) -> Route:
        """`model` None is the agent's if this is its provider."""
        agent = self._settings.agent(agent_name)
        model = model or (agent.model if agent.provider == provider else None)
        alone = self._with_backups(Deployment(provider=provider, model=model))
        return Route(name=provider, tiers=_tiers_of([alone]))

    def _asked_for(self, model: str, route: Route) -> Route:
        """The same route with the first provider, or the one that serves the model, asked for `model` first."""
        first, *others = route.tiers[0].deployments
        provider = self._provider_of(model) or first.provider
        changed, replaced = Deployment(provider=provider, model=model), set[Deployment]()
        if provider == first.provider:
            changed = replace(first, model=model)
            replaced = {first, *takewhile(lambda other: other.backup is not None, others)}
        asked = self._with_backups(changed, explicit=True)
        names = {deployment.name for deployment in (*asked, *replaced)}
        behind = (
            replace(tier, deployments=tuple(each for each in tier.deployments if each.name not in names))
            for tier in route.tiers
        )
        return replace(route, tiers=(Tier(deployments=asked), *(tier for tier in behind if tier.deployments)))

    def _provider_of(self, model: str) -> str | None:
        """The provider that an alias names; None where it names none."""
        entry = self._settings.models.get(model)
        if entry is None or entry.id is None:
            return None
        try:
            id = parse_model_id(entry.id, PROVIDERS | self._settings.providers.keys())
        except ConfigurationError:
            return None  # the provider says what is wrong with it
        if id.runtime is None:
            return id.provider
        described = self._settings.providers.items()
        return next((name for name, each in described if id.runs_at(each.kind, each.base_url or "")), None)

    def _with_backups(self, deployment: Deployment, *, explicit: bool = False) -> tuple[Deployment, ...]:
        """A deployment and, after it, the same at each backup endpoint of its provider.

        A backup's own model is its name for the provider's default, so it does not hold for another model.
        """
        described = self._settings.providers.get(deployment.provider)
        stated = described.model if described and "model" in described.model_fields_set else None
        default = not explicit and (stated is None or deployment.model in {None, stated})
        backups = described.backups if described else ()
        count = self._backups.get(deployment.provider, len(backups))
        copies = [replace(deployment, backup=position) for position in range(count)]
        for position, backup in enumerate(backups[:count]):
            model = backup.model if default and backup.model else deployment.model
            copies[position] = replace(copies[position], model=model, own_quota=backup.own_quota)
        return (deployment, *copies)


def _tiers_of(groups: Iterable[tuple[Deployment, ...]]) -> tuple[Tier, ...]:
    return tuple(Tier(deployments=group) for group in groups)


def _read(stated: DeploymentSettings) -> Deployment:
    parameters = LLMConfig(**{name: getattr(stated, name) for name in LLMConfig.model_fields})
    return Deployment(
        provider=stated.provider,
        model=stated.model,
        parameters=parameters,
        weight=stated.weight,
        when=_conditions(stated.when),
    )


def _conditions(stated: ConditionSettings) -> Conditions:
    return Conditions(
        tags=frozenset(stated.tags),
        tenants=frozenset(stated.tenants),
        between=stated.between,
        timezone=stated.timezone,
        min_input_tokens=stated.min_input_tokens,
        max_input_tokens=stated.max_input_tokens,
    )
