"""From the settings of a provider to what airframe needs: an adapter, and the endpoints that it calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airframe.adapters import Adapter, HttpAdapter
from airframe.endpoints import CapacityHints, EndpointSpec, Timeouts
from airframe.errors import ConfigurationError as AirframeConfigurationError
from airframe.redaction import Secret
from airframe.registry import adapter_factory, create_adapter
from avionics.errors import ConfigurationError, MissingKeyError, MissingPackageError
from avionics.settings import FLAT_NAMES, LimitsSettings, ProviderSettings
from avionics.settings.providers import EndpointSettings

__all__ = ["adapter_for", "backups_of", "endpoint_of", "missing_setting", "stated_at", "variable_of"]


def adapter_for(
    kind: str, options: Mapping[str, object], described: ProviderSettings, limits: LimitsSettings
) -> Adapter:
    """An adapter of airframe's `kind`. Raises `ConfigurationError`."""
    factory = adapter_factory(kind)
    usual = factory.default_timeouts if isinstance(factory, type) and issubclass(factory, HttpAdapter) else Timeouts()
    try:
        return create_adapter(
            kind,
            timeout=replace(usual, **described.timeouts.over(limits.timeouts)),
            max_retries=limits.max_retries if described.max_retries is None else described.max_retries,
            **options,
        )
    except AirframeConfigurationError as error:
        not_here = isinstance(error.__cause__, ImportError)
        raise (MissingPackageError if not_here else ConfigurationError)(f"the adapter {kind}: {error}") from error


def endpoint_of(name: str, kind: str, described: ProviderSettings, base_url: str) -> EndpointSpec:
    """Where the provider `name` is called. Raises `ConfigurationError`, also for a key that is missing."""
    _require_key(name, described)
    endpoint = EndpointSpec(
        base_url=base_url,
        backend_kind=kind,
        capacity=CapacityHints(slots=described.slots, context_window=described.context_window),
        markup=described.markup,
    )
    return stated_at(f"providers.{name}", endpoint, described)


def backups_of(name: str, described: ProviderSettings, primary: EndpointSpec) -> tuple[EndpointSpec, ...]:
    """The other endpoints with the same models. Each is the primary one with what it states itself instead.

    A key goes to whom it is for: a backup inherits it. Raises `ConfigurationError`.
    """
    return tuple(
        stated_at(
            f"providers.{name}.backups.{position}",
            replace(primary, base_url=backup.base_url or primary.base_url, model=backup.model),
            backup,
        )
        for position, backup in enumerate(described.backups)
    )


def variable_of(provider: str, setting: str) -> str:
    """The environment variable of one setting of a provider, the short one where there is one."""
    path = ("providers", provider, setting)
    return f"AVIONICS_{(_short_name(path) or '__'.join(path)).upper()}"


def missing_setting(provider: str, setting: str, what: str) -> str:
    """That a provider cannot work without a setting, with every way to give it."""
    path = ("providers", provider, setting)
    variable = variable_of(provider, setting)
    return (
        f"{'.'.join(path)} ({variable}): the provider {provider} needs {what}; "
        f"set the environment variable {variable}, or {_short_name(path) or '.'.join(path)} in the settings file"
    )


def _short_name(path: tuple[str, ...]) -> str | None:
    return next((name for name, place in FLAT_NAMES.items() if place == path), None)


def stated_at(path: str, endpoint: EndpointSpec, described: EndpointSettings) -> EndpointSpec:
    """`endpoint` with what `described`, the settings at `path`, states. Raises `ConfigurationError`."""
    stated: dict[str, Any] = {
        "api_key": described.api_key and Secret(described.api_key.get_secret_value()),
        "headers": {name: value.get_secret_value() for name, value in described.headers.items()} or None,
        "proxy": described.proxy and described.proxy.get_secret_value(),
        "trust_env": described.trust_env,
        "ca_file": described.ca_file and str(described.ca_file),
        "client_cert": described.client_cert and tuple(map(str, described.client_cert)),
        "max_connections": described.max_connections,
    }
    try:
        return replace(endpoint, **{name: value for name, value in stated.items() if value is not None})
    except AirframeConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _require_key(name: str, described: ProviderSettings) -> None:
    """Whoever serves at an address of one's own may ask for none."""
    if described.api_key:
        return
    if described.api_key_env:
        raise MissingKeyError(
            f"providers.{name}.api_key_env: the variable {described.api_key_env} holds no key; set it"
        )
    usual = type(described).model_fields["base_url"].default
    if described.needs_key and usual in {None, described.base_url}:
        raise MissingKeyError(missing_setting(name, "api_key", "a key"))
