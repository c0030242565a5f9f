"""From a name, an agent or a file to a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from airframe.errors import ConfigurationError as AirframeConfigurationError
from avionics.errors import ConfigurationError
from avionics.llm.provider import LLMProvider
from avionics.llm.registry import known_providers, make_provider, register_provider
from avionics.settings import LLMConfig, Settings

if TYPE_CHECKING:
    from avionics.llm.nodes import InferenceEndpointsProtocol

__all__ = [
    "ProviderFactory",
    "create_agent_provider",
    "create_agent_provider_with_node_awareness",
    "create_llm_provider",
    "known_providers",
    "register_provider",
]


def create_llm_provider(provider_type: str, settings: Settings, agent_name: str | None = None) -> LLMProvider:
    """The provider of that name, as the settings describe it, with the parameters of an agent.

    Raises `UnsupportedProviderError` for an unknown name, `ConfigurationError` for settings that it cannot work with.
    """
    try:
        return make_provider(provider_type, settings, agent_name)
    except AirframeConfigurationError as error:
        raise ConfigurationError(f"provider {provider_type}: {error}") from error


def create_agent_provider(settings: Settings, agent_name: str, override_provider: str | None = None) -> LLMProvider:
    """The provider that an agent asks first, or `override_provider` with the agent's parameters. Raises as above."""
    return create_llm_provider(override_provider or settings.first_provider(agent_name), settings, agent_name)


def create_agent_provider_with_node_awareness(
    settings: Settings, agent_name: str, node_profiles: InferenceEndpointsProtocol | None = None
) -> LLMProvider:
    """The same; in distributed mode (`routing.mode`) at the agent's node, if it has one. Raises as above."""
    profile = None
    if settings.routing.mode == "distributed" and node_profiles is not None:
        profile = node_profiles.get_profile_for_agent(agent_name)
    provider = create_agent_provider(settings, agent_name, profile.provider if profile else None)
    return provider.at(profile.endpoint) if profile else provider


class ProviderFactory:
    """Providers from the form that names one backend beside its settings.

        llm:
          backend: ollama
          temperature: 0.2
          ollama: {base_url: "http://127.0.0.1:11434", model: "llama3.2"}

    The rest of the settings is read as always; what is given here wins.
    """

    @staticmethod
    def create_from_config(config: Mapping[str, object]) -> LLMProvider:
        """The provider of such a mapping, with or without `llm` around it. Raises `ConfigurationError`."""
        inner = config.get("llm", config)
        if not isinstance(inner, Mapping):
            raise ConfigurationError(f"llm must be a mapping with a backend, got {type(inner).__name__}")
        llm = dict(cast("Mapping[str, object]", inner))
        backend = llm.pop("backend", None)
        if not isinstance(backend, str):
            raise ConfigurationError(
                f"llm.backend is missing: give the name of a provider, one of {', '.join(known_providers())}"
            )
        agent = {name: llm.pop(name) for name in LLMConfig.model_fields if name in llm}
        settings = Settings(providers=llm, agents={"default": {"provider": backend, **agent}})
        return create_llm_provider(backend, settings, "default")
