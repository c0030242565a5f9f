"""Whether everything that the settings say can be asked for, before anything is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

from airframe.types import InferenceRequest, Message
from avionics.errors import ConfigurationError, ConfigurationValidationError, MissingKeyError, MissingPackageError
from avionics.llm.catalog import ModelRegistry, Problem
from avionics.llm.factory import create_llm_provider
from avionics.llm.llm_factory import LLMFactory
from avionics.llm.provider import LLMProvider
from avionics.llm.routing.regions import region_of
from avionics.llm.routing.route_table import RouteTable
from avionics.settings import Settings
from avionics.settings.settings import DEFAULT_AGENT

__all__ = ["find_config_problems", "validate_config"]

_NOT_HERE = (MissingKeyError, MissingPackageError)
_QUESTION = InferenceRequest(messages=[Message("user", "?")])


def validate_config(settings: Settings, *, today: date | None = None) -> None:
    """Raises `ConfigurationValidationError` with every problem of the settings at once. Nothing is sent.

    That is: a provider that cannot be made, a model that the catalog does not know or that is no longer served,
    parameters that a model does not take, for each model and each provider that an agent may ask, and a backup that
    an outage of the provider's region takes with it.
    """
    if problems := find_config_problems(settings, today=today):
        raise ConfigurationValidationError(*(problem.message for problem in problems))


def find_config_problems(settings: Settings, *, today: date | None = None) -> tuple[Problem, ...]:
    """The same as a list, each problem with the place in the settings that it is about.

    Not fatal is what is sent otherwise, and a key or a package that is not on this machine: it may be where the calls
    are made.
    """
    today = today or datetime.now(UTC).date()
    described = tuple(_of_specs(settings))
    if described:  # nothing can be made of these settings
        return described
    found = (*_of_providers(settings), *_of_models(settings), *_of_agents(settings, today), *_of_routes(settings))
    return tuple(dict.fromkeys(found))


def _of_specs(settings: Settings) -> Iterator[Problem]:
    for name, entry in settings.models.items():
        try:
            ModelRegistry.from_settings(settings.model_copy(update={"models": {name: entry}}))
        except ConfigurationError as error:
            yield Problem(str(error))


def _of_providers(settings: Settings) -> Iterator[Problem]:
    for name in settings.providers:
        try:
            made = create_llm_provider(name, settings)
        except ConfigurationError as error:
            yield from _not_made(error)
        else:
            yield from _in_one_region(made)


def _of_models(settings: Settings) -> Iterator[Problem]:
    factory = LLMFactory(settings)
    for name in settings.models:
        try:
            yield from _at(f"models.{name}", factory.create_llm(name).problems())
        except _NOT_HERE as error:
            yield from _not_made(error)
        except ConfigurationError as error:
            yield from _at(f"models.{name}", _not_made(error))


def _of_agents(settings: Settings, today: date) -> Iterator[Problem]:
    for name in dict.fromkeys((DEFAULT_AGENT, *settings.agents)):
        agent = settings.agent(name)
        for provider in (agent.provider, *(agent.fallbacks or ())):
            try:
                made = create_llm_provider(provider or settings.first_provider(name), settings, name)
            except ConfigurationError as error:
                yield from _not_made(error)
            else:
                problems = (*made.problems(_QUESTION), *_end_of_service(made, today))
                yield from _at(f"agents.{name} at {made.name}", problems)


def _of_routes(settings: Settings) -> Iterator[Problem]:
    try:
        names = RouteTable.from_settings(settings).providers()
    except ConfigurationError as error:
        yield Problem(str(error))
        return
    for name in names:
        try:
            create_llm_provider(name, settings)
        except ConfigurationError as error:
            yield from _not_made(error)


def _in_one_region(provider: LLMProvider) -> Iterator[Problem]:
    region = region_of(provider.endpoint.base_url)
    for position, backup in enumerate(provider.backups):
        if region is not None and region_of(backup.base_url) == region:
            yield Problem(
                f"providers.{provider.name}.backups.{position}: it is in the region of the provider, {region}, whose "
                "outage takes both; put one of them elsewhere",
                fatal=False,
            )


def _end_of_service(provider: LLMProvider, today: date) -> Iterator[Problem]:
    spec = provider.catalog.at(provider.endpoint, provider.default_model, provider=provider.name)
    if spec and spec.retires and spec.retires < today:
        yield Problem(f"{spec.name} is no longer served since {spec.retires}; choose another model")


def _not_made(error: ConfigurationError) -> Iterator[Problem]:
    fatal = not isinstance(error, _NOT_HERE)
    return (Problem(line, fatal) for line in str(error).splitlines())


def _at(place: str, problems: Iterable[Problem]) -> Iterator[Problem]:
    return (replace(problem, message=f"{place}: {problem.message}") for problem in problems)
