"""What a variant changes of a call, and what a call must not say itself to be in an experiment. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from avionics.llm.call_options import CallOptions
from avionics.llm.routing import Route, RouteTable, Tier
from avionics.settings import LLMConfig
from avionics.settings.experiments import ExperimentSettings, VariantSettings

__all__ = ["stated_by_call", "varied_by", "varied_route"]

_WHOM = frozenset({"route", "provider", "model"})
WHOM = "whom"
"""Stands for the three fields that say whom to ask: to vary one is to vary the answer to the same question."""


def varied_by(experiment: ExperimentSettings) -> frozenset[str]:
    """The fields in which the variants of an experiment may differ: those that any of them states."""
    return frozenset(name for variant in experiment.variants for name in _stated_by(variant))


def stated_by_call(system: str | None, options: CallOptions) -> frozenset[str]:
    """The same fields, as far as a call states them itself."""
    return frozenset(_named_by_call(system, options))


def varied_route(
    variant: VariantSettings | None, routes: RouteTable, agent_name: str | None, options: CallOptions
) -> Route:
    """Whom to ask for a call of this variant, and how. None is a call outside of experiments."""
    model, provider = options.get("model"), options.get("provider")
    if variant is None:
        return routes.find(agent_name, model=model, provider=provider)
    named = variant.route or variant.model
    route = routes.find(agent_name, model=named or model, provider=variant.provider or provider)
    parameters = LLMConfig(**{name: getattr(variant, name) for name in LLMConfig.model_fields})
    return route if parameters == LLMConfig() else _asked_with(parameters, route)


def _asked_with(parameters: LLMConfig, route: Route) -> Route:
    def changed(tiers: Collection[Tier]) -> tuple[Tier, ...]:
        return tuple(
            replace(
                tier,
                deployments=tuple(
                    replace(each, parameters=parameters.over(each.parameters)) for each in tier.deployments
                ),
            )
            for tier in tiers
        )

    return replace(
        route,
        tiers=changed(route.tiers),
        context_length=changed(route.context_length),
        content_filter=changed(route.content_filter),
    )


def _stated_by(variant: VariantSettings) -> Iterator[str]:
    for name in (*LLMConfig.model_fields, *_WHOM):
        if getattr(variant, name) is not None:
            yield WHOM if name in _WHOM else name


def _named_by_call(system: str | None, options: CallOptions) -> Iterator[str]:
    if any(options.get(name) is not None for name in _WHOM):
        yield WHOM
    for name in LLMConfig.model_fields:
        if name != "system" and options.get(name) not in (None, ()):
            yield name
    if system or any(message.role in {"system", "developer"} for message in options.get("messages", ())):
        yield "system"
