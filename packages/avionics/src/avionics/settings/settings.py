"""All settings, in one immutable object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, cast

from pydantic import BeforeValidator, Field, PrivateAttr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from avionics.config_file import KeyPath
from avionics.errors import ConfigurationError
from avionics.settings.agents import AgentSettings, ModelSettings
from avionics.settings.cache import CacheSettings
from avionics.settings.call_log import CallLogSettings
from avionics.settings.calls import LimitsSettings
from avionics.settings.database import DatabaseSettings
from avionics.settings.experiments import ExperimentName, ExperimentSettings
from avionics.settings.flat_names import FlatNames
from avionics.settings.layers import Layer, merged, place_of, read_layers
from avionics.settings.nodes import NodesSettings
from avionics.settings.prices import PriceRow
from avionics.settings.providers import KINDS, WELL_KNOWN, AnyProviderSettings, ProviderSettings, with_kind
from avionics.settings.references import unclear_names
from avionics.settings.routing import RoutingSettings
from avionics.settings.telemetry import TelemetrySettings

__all__ = ["DEFAULT_AGENT", "Settings"]

DEFAULT_AGENT = "default"
"""The agent behind all others, and behind calls that name none."""

_DEFAULT_PROVIDER = "llamaserver"


def _with_kinds(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    entries = cast("Mapping[str, object]", value).items()
    return {name: with_kind(name, entry) for name, entry in entries}


ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
"""Variables are not told apart by case, so neither are providers."""


class Settings(FlatNames, BaseSettings):
    """What avionics needs to know. Immutable; raises `ConfigurationError`.

    Arguments win over the environment, that over a dotenv file, that over a secrets directory, that over a settings
    file, that over the defaults. Arguments are the sections and the short names of `FLAT_NAMES`.
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )

    config: Path | None = None
    """The settings file: YAML or TOML. None looks for `avionics.yaml` or `avionics.toml` in the working directory and
    the user's configuration directory.
    """
    dotenv: Path | None = None
    """A file with further variables; none is read unless it is named."""
    secrets_dir: Path | None = None
    """A directory with a file for each secret, named like a variable."""
    providers: Annotated[Mapping[ProviderName, AnyProviderSettings], BeforeValidator(_with_kinds)] = Field(
        default_factory=dict[str, Any]
    )
    """Who can be asked, by name."""
    models: Mapping[str, ModelSettings] = Field(default_factory=dict[str, ModelSettings])
    """How models are asked, by their name or an alias."""
    agents: Mapping[str, AgentSettings] = Field(default_factory=dict[str, AgentSettings])
    """For whom calls are made, by name. `default` stands behind the others."""
    prices: tuple[PriceRow, ...] = ()
    """What calls cost, where that is known better than from the price list."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """What is told of calls, to whom."""
    routing: RoutingSettings = RoutingSettings()
    """Where calls go."""
    limits: LimitsSettings = LimitsSettings()
    """What holds for every provider that does not say otherwise."""
    database: DatabaseSettings = DatabaseSettings()
    """Where calls are logged."""
    call_log: CallLogSettings = CallLogSettings()
    """What is logged of them."""
    cache: CacheSettings = CacheSettings()
    """Where answers are kept to be given again."""
    nodes: NodesSettings = NodesSettings()
    """The servers of one's own that are asked in distributed mode."""
    experiments: Mapping[ExperimentName, ExperimentSettings] = Field(default_factory=dict[str, ExperimentSettings])
    """Calls that are made in one of several ways, by name. A call takes part in the first that it fits."""

    _layers: tuple[Layer, ...] = PrivateAttr(default=())

    def __init__(self, **values: Any) -> None:
        layers = read_layers(values)
        try:
            values = merged(layers)
            super().__init__(**values)
        except ValidationError as error:
            from avionics.settings.explanation import explained  # only for mistakes

            raise ConfigurationError(explained(error, type(self), layers)) from None
        self._layers = layers
        if unclear := [*unclear_names(self, self.origin)]:
            raise ConfigurationError("\n".join(unclear))

    @override
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The layers, merged: they know short names, and where each value stands."""
        return (init_settings,)

    def agent(self, name: str | None = None) -> AgentSettings:
        """What holds for an agent, `default` included. One that is not described is asked for as `default` is.

        One with a route has the provider and the model that the route names first.
        """
        default = self._with_provider(self.agents.get(DEFAULT_AGENT, AgentSettings()))
        named = self.agents.get(name) if name and name != DEFAULT_AGENT else None
        return self._with_provider(named.over_default(default)) if named else default

    def first_provider(self, agent_name: str | None = None) -> str:
        """The name of the provider that an agent asks first."""
        return self.agent(agent_name).provider or _DEFAULT_PROVIDER

    def provider(self, name: str) -> ProviderSettings:
        """How a provider is asked: as described, else as is usual under a well-known name.

        Raises `ConfigurationError` for a name that is neither.
        """
        if described := self.providers.get(name):
            return described
        if name not in WELL_KNOWN:
            raise ConfigurationError(
                f"providers.{name}: no such provider is described; known without a description are "
                f"{', '.join(sorted(WELL_KNOWN))}"
            )
        return KINDS[WELL_KNOWN[name]].model_validate({"kind": WELL_KNOWN[name]})

    def section(self, section: str, name: str) -> object:
        """What holds for an entry of a section, the defaults included. Raises as `provider`."""
        match section:
            case "agents":
                return self.agent(name)
            case "providers":
                return self.provider(name)
            case _:
                return getattr(getattr(self, section), name)

    def origin(self, path: KeyPath) -> str | None:
        """In words, where the setting at `path` comes from; None for a default."""
        return place_of(path, self._layers)

    def asking(self, provider: str) -> Self:
        """The same settings, with another provider asked first, for its own model."""
        default = self.agent()
        if provider == default.provider:
            return self
        agent = default.model_copy(update={"provider": provider, "model": None, "route": None})
        return self.model_copy(update={"agents": {**self.agents, DEFAULT_AGENT: agent}})

    def _with_provider(self, agent: AgentSettings) -> AgentSettings:
        if agent.route is None:
            asked: dict[str, object] = {"provider": agent.provider or _DEFAULT_PROVIDER}
        else:
            first = self.routing.routes[agent.route].deployments[0][0]
            asked = {"provider": first.provider, "model": first.model}
        return agent.model_copy(update={**asked, "fallbacks": agent.fallbacks or ()})
