"""From settings, or a text with a list of nodes, to profiles; and the last good list of a source that changes."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from airframe.endpoints import CapacityHints, EndpointSpec
from airframe.errors import ConfigurationError as AirframeConfigurationError
from avionics.config_file import KeyPath, parse_yaml
from avionics.errors import AvionicsError, ConfigurationError, MissingKeyError
from avionics.llm.construction import stated_at
from avionics.llm.nodes.profile import NodeProfile
from avionics.settings import ProviderSettings
from avionics.settings.explanation import explained, shape_of
from avionics.settings.interpolation import expand, fetch_keys
from avionics.settings.layers import Layer
from avionics.settings.nodes import NodeList, NodeSettings
from avionics.settings.providers import KINDS, WELL_KNOWN

__all__ = ["LastGoodList", "parse_nodes", "profiles_of"]

_DEFAULT_KIND = "llama_server"


def profiles_of(
    nodes: Mapping[str, NodeSettings], providers: Mapping[str, ProviderSettings], *, path: str
) -> tuple[NodeProfile, ...]:
    """The nodes that settings describe at `path`. `providers` are those that the settings describe.

    Raises `ConfigurationError`, also for a key that is missing.
    """
    return tuple(_profile(name, node, providers, f"{path}.{name}") for name, node in nodes.items())


def parse_nodes(text: str, source: Path, providers: Mapping[str, ProviderSettings]) -> tuple[NodeProfile, ...]:
    """The nodes that a YAML or JSON text lists; `source` is what errors call it.

    As in a settings file, `${VAR}` is a variable, and `api_key_env` names the one that holds a key. Raises
    `ConfigurationError`, which tells the line and repeats no value.
    """
    document, lines = parse_yaml(text, source)

    def where(keys: KeyPath) -> str:
        known = (lines.get(keys[:length]) for length in range(len(keys), 0, -1))
        line = next(filter(None, known), None)
        return f"{source}, line {line}" if line else f"{source}"

    if not isinstance(document, dict):
        raise ConfigurationError(f"{source}: it must hold a mapping with the entry 'nodes', got {shape_of(document)}")
    values = cast("Mapping[str, object]", expand(cast("object", document), os.environ, where))
    values = fetch_keys(values, os.environ)
    try:
        listed = NodeList.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(explained(error, NodeList, [Layer(values, where)])) from None
    return profiles_of(listed.nodes, providers, path=f"{source}: nodes")


class LastGoodList:
    """The nodes of a source that changes. What is wrong with it is logged once, and the list before it stays.

    Safe to use from several threads.
    """

    def __init__(self, source: str, logger: logging.Logger) -> None:
        self._source = source
        self._logger = logger
        self._lock = threading.Lock()
        self._profiles: tuple[NodeProfile, ...] = ()
        self._problem: str | None = None

    @property
    def profiles(self) -> tuple[NodeProfile, ...]:
        """The last good list."""
        return self._profiles

    @property
    def problem(self) -> str | None:
        """What is wrong with the source now, in words; None while it is good."""
        return self._problem

    def take(self, profiles: tuple[NodeProfile, ...]) -> None:
        """The source is good, and lists these."""
        with self._lock:
            recovered, self._problem = self._problem is not None, None
            changed, self._profiles = profiles != self._profiles, profiles
        if recovered or changed:
            names = ", ".join(profile.name for profile in profiles) or "none"
            self._logger.info("%s lists the nodes %s", self._source, names)

    def keep(self, problem: AvionicsError | str) -> None:
        """The source is bad: the last good list goes on."""
        words = str(problem)
        with self._lock:
            is_new, self._problem = words != self._problem, words
        if is_new:
            self._logger.warning("%s cannot be used; the nodes stay as they are: %s", self._source, words)


def _profile(name: str, node: NodeSettings, providers: Mapping[str, ProviderSettings], path: str) -> NodeProfile:
    kind = node.kind or _kind_of(node.provider, providers, path)
    if node.api_key_env and not node.api_key:
        raise MissingKeyError(f"{path}.api_key_env: the variable {node.api_key_env} holds no key; set it")
    capacity = CapacityHints(slots=node.slots, context_window=node.context_window)
    try:
        endpoint = EndpointSpec(base_url=node.base_url, backend_kind=kind, model=node.model, capacity=capacity)
    except AirframeConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return NodeProfile(
        name=name,
        endpoint=stated_at(path, endpoint, node),
        provider=node.provider or _usual_provider(kind, path),
        agents=node.agents,
        models=node.models,
        labels=node.labels,
        weight=node.weight,
    )


def _kind_of(provider: str | None, providers: Mapping[str, ProviderSettings], path: str) -> str:
    if provider is None:
        return _DEFAULT_KIND
    if described := providers.get(provider):
        return described.kind
    if provider in WELL_KNOWN:
        return WELL_KNOWN[provider]
    known = ", ".join(sorted({*providers, *WELL_KNOWN}))
    raise ConfigurationError(f"{path}.provider: there is no provider {provider!r}; known are {known}")


def _usual_provider(kind: str, path: str) -> str:
    from avionics.llm.registry import usual_name  # it loads all providers

    if kind in KINDS:
        return usual_name(kind)
    raise ConfigurationError(
        f"{path}.kind: {kind!r} is none of {', '.join(sorted(KINDS))}; name the provider that asks it"
    )
