"""From a deployment of a route to the provider that is asked, and the request in its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airframe.errors import AirframeError
from airframe.types import InferenceRequest
from avionics.errors import ConfigurationError
from avionics.llm.call import Call
from avionics.llm.catalog import ModelSpec
from avionics.llm.configured import configured_for
from avionics.llm.factory import create_llm_provider
from avionics.llm.provider import LLMProvider
from avionics.llm.routing import Deployment
from avionics.settings import LLMConfig, Settings

if TYPE_CHECKING:
    from avionics.llm.nodes import NodePool, NodeProfile

__all__ = ["Deployments"]


class Deployments:
    """The providers of a gateway: those that were given to it, and those that it makes when they are first needed."""

    def __init__(self, settings: Settings, given: Mapping[str, LLMProvider], nodes: NodePool | None = None) -> None:
        self._settings = settings
        self._nodes = nodes
        self._given = dict(given)
        self._made: dict[str, LLMProvider] = {}
        self._configs: dict[tuple[str | None, LLMConfig], LLMConfig] = {}

    def provider(self, name: str) -> LLMProvider:
        """The provider of that name. Raises `ConfigurationError`."""
        if provider := self._given.get(name) or self._made.get(name):
            return provider
        provider = self._made[name] = create_llm_provider(name, self._settings)
        return provider

    def default_model(self, deployment: Deployment) -> str | None:
        """The model that its provider asks for by default; None also where the provider has not been made yet."""
        provider = self._given.get(deployment.provider) or self._made.get(deployment.provider)
        return provider.default_model if provider else None

    def model_name(self, deployment: Deployment) -> str | None:
        """A deployment's model by its own name, where the settings use an alias; None leaves it to the server."""
        try:
            return self.open(deployment).model_name(deployment.model)
        except (AirframeError, ConfigurationError):
            return deployment.model  # who asks for it is told

    def open(self, deployment: Deployment) -> LLMProvider:
        """Who is asked for a deployment. Raises `ConfigurationError`."""
        provider = self.provider(deployment.provider)
        if deployment.node is not None:
            return provider.at(self._node(deployment.node).endpoint)
        return provider if deployment.backup is None else provider.at(provider.backups[deployment.backup])

    def request(self, call: Call, deployment: Deployment, provider: LLMProvider) -> InferenceRequest:
        """What it is asked: its own model, and its own parameters where the call says nothing."""
        config = self._config(call.caller.agent_name, deployment.parameters)
        return configured_for(call.request, config, deployment.model or provider.default_model)

    def spec(self, deployment: Deployment) -> ModelSpec | None:
        """What is known of a deployment's model; None where nothing is. Nothing is sent."""
        try:
            return self.open(deployment).spec(deployment.model)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, who asks it is told
            return None

    async def aclose(self) -> None:
        """Close the providers that were made here. They are made anew when they are needed again."""
        while self._made:
            _, provider = self._made.popitem()
            await provider.close()

    def _node(self, name: str) -> NodeProfile:
        profiles = self._nodes.list_profiles() if self._nodes else ()
        found = next((node for node in profiles if node.name == name), None)
        if found is None:
            raise ConfigurationError(f"nodes: {name} is not listed any more")
        return found

    def _config(self, agent_name: str | None, parameters: LLMConfig) -> LLMConfig:
        key = agent_name if agent_name in self._settings.agents else None, parameters
        if key not in self._configs:
            self._configs[key] = parameters.over(self._settings.agent(agent_name))
        return self._configs[key]
