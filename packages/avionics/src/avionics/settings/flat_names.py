"""The short names of single settings, and where each stands in the sections: one table.

A short name may be used wherever settings come from: as an argument, as a variable (`AVIONICS_LLM_PROVIDER`), in the
file. It also reads: `settings.llm_provider` is `settings.agents["default"].provider`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar, cast, overload

from pydantic import SecretStr

if TYPE_CHECKING:
    from avionics.settings.settings import Settings

__all__ = ["FLAT_NAMES", "Flat", "FlatNames"]

T = TypeVar("T")


class Flat(Generic[T]):
    """Reads the setting at `path`. On the class, the entry of the table itself."""

    def __init__(self, *path: str) -> None:
        self.path = path

    @overload
    def __get__(self, settings: None, owner: type) -> Self: ...
    @overload
    def __get__(self, settings: FlatNames, owner: type) -> T: ...
    def __get__(self, settings: FlatNames | None, owner: type) -> Self | T:
        if settings is None:
            return self
        section, name, *rest = self.path
        value = cast("Settings", settings).section(section, name)
        for name in rest:
            value = getattr(value, name)
        return cast("T", value)


class FlatNames:
    """The table."""

    llm_provider = Flat[str]("agents", "default", "provider")
    llm_fallback_providers = Flat[tuple[str, ...]]("agents", "default", "fallbacks")
    default_model = Flat[str | None]("agents", "default", "model")
    default_temperature = Flat[float | None]("agents", "default", "temperature")
    llm_timeout = Flat[float | None]("limits", "timeouts", "attempt")
    llm_max_retries = Flat[int]("limits", "max_retries")
    deployment_mode = Flat[Literal["single_node", "distributed"]]("routing", "mode")
    llamaserver_host = Flat[str]("providers", "llamaserver", "base_url")
    llamaserver_api_type = Flat[Literal["openai", "native"]]("providers", "llamaserver", "options", "api_type")
    llamacpp_model_path = Flat[Path | None]("providers", "llamacpp", "model_path")
    openai_api_key = Flat[SecretStr | None]("providers", "openai", "api_key")
    openai_base_url = Flat[str]("providers", "openai", "base_url")
    openai_model = Flat[str]("providers", "openai", "model")
    anthropic_api_key = Flat[SecretStr | None]("providers", "anthropic", "api_key")
    azure_endpoint = Flat[str | None]("providers", "azure", "base_url")
    azure_api_key = Flat[SecretStr | None]("providers", "azure", "api_key")
    azure_deployment_name = Flat[str | None]("providers", "azure", "model")
    azure_api_version = Flat[str | None]("providers", "azure", "options", "api_version")


FLAT_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: entry.path for name, entry in vars(FlatNames).items() if isinstance(entry, Flat)}
)
"""Where each short name stands."""
