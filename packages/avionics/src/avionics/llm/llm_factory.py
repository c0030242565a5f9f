"""Providers and chats that are made once for each configuration and then shared."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from airframe.endpoints import EndpointSpec
from avionics.llm.catalog import ModelId, ModelRegistry, parse_model_id
from avionics.llm.catalog.model_id import PROVIDERS, LocalRuntime
from avionics.llm.chat import Chat
from avionics.llm.factory import create_agent_provider, create_llm_provider
from avionics.llm.nodes import InferenceEndpointsProtocol, node_pool
from avionics.llm.provider import LLMProvider
from avionics.llm.registry import usual_name
from avionics.settings import AgentSettings, LLMConfig, ProviderSettings, Settings, get_settings
from avionics.settings.providers import KINDS, WELL_KNOWN

__all__ = ["LLMFactory"]


@dataclass(frozen=True)
class _Configuration:
    """All that a provider is made of. Two agents that are asked for alike share one."""

    name: str
    described: ProviderSettings | None
    agent: AgentSettings
    endpoint: EndpointSpec | None = None


class LLMFactory:
    """Makes providers and chats, and keeps the providers. Safe to use from several threads.

    Close it, or use it as an async context manager.

    Args:
        settings: None is the process's.
        nodes: inference nodes; in distributed mode (`routing.mode`) an agent is asked for at its node. None takes those
            that the settings describe.
    """

    def __init__(self, settings: Settings | None = None, nodes: InferenceEndpointsProtocol | None = None) -> None:
        self.settings = settings or get_settings()
        self.nodes = node_pool(self.settings, nodes)
        """The inference nodes with what is known of each; None where the mode is not distributed."""
        self._lock = threading.Lock()
        self._made: list[tuple[_Configuration, LLMProvider]] = []
        self._forgotten: list[LLMProvider] = []
        self._catalog = ModelRegistry.from_settings(self.settings)

    def get_provider(self, name: str | None = None, agent_name: str | None = None) -> LLMProvider:
        """The provider of that name, with the parameters of an agent; None is the one that the agent asks first.

        Raises `ConfigurationError`.
        """
        name = name or self.settings.first_provider(agent_name)
        return self._shared(
            self._configuration(name, agent_name), lambda: create_llm_provider(name, self.settings, agent_name)
        )

    def get_provider_for_agent(self, agent_name: str) -> LLMProvider:
        """Who an agent is answered by: the best node that can be asked now, else its own provider.

        Raises `ConfigurationError`.
        """
        node = self.nodes.get_profile_for_agent(agent_name) if self.nodes else None
        if node is None:
            return self.get_provider(agent_name=agent_name)
        name = node.provider or self.settings.first_provider(agent_name)
        return self._shared(
            self._configuration(name, agent_name, node.endpoint),
            lambda: create_agent_provider(self.settings, agent_name, name).at(node.endpoint),
        )

    def create_llm(self, model: str, config: LLMConfig | None = None) -> Chat:
        """A chat with a model.

        Args:
            model: an entry of `models` in the settings, or an id: `gpt-5`, `openai:gpt-5`, or
                `llama3:latest:ollama@localhost:11434` for one that runs somewhere.
            config: how it is asked; what it does not state is the entry's, then the agent `default`'s.

        A name alone is asked of who serves it by the catalog, else of the first provider. Raises `ConfigurationError`.
        """
        entry = self.settings.models.get(model)
        id = parse_model_id(entry.id if entry and entry.id else model, PROVIDERS | self.settings.providers.keys())
        config = config or LLMConfig()
        return Chat(self._provider_of(id), model=id.name, config=config.over(entry) if entry else config)

    def mark_node_healthy(self, node_name: str, healthy: bool = True) -> None:
        """From now on, agents are asked for at this node again, or no longer."""
        if self.nodes is not None:
            self.nodes.mark_node_healthy(node_name, healthy)

    def clear_cache(self) -> None:
        """Make everything anew from now on. Who holds a provider may go on using it; `aclose` closes it too."""
        with self._lock:
            self._forgotten += [provider for _, provider in self._made]
            self._made.clear()

    async def aclose(self) -> None:
        """Close all providers. The factory may be used again afterwards."""
        self.clear_cache()
        while self._forgotten:
            await self._forgotten.pop().close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _provider_of(self, id: ModelId) -> LLMProvider:
        if id.runtime is not None:
            return self._provider_at(id, id.runtime)
        return self.get_provider(id.provider or self._server_of(id.name))

    def _server_of(self, model: str) -> str:
        """The provider to ask for a model of that name: the first one if it may have it."""
        first = self.settings.first_provider()
        spec = self._catalog.find(model)
        if spec is None or spec.runtime != "api" or spec.provider not in KINDS:
            return first
        candidates = [first, *self.settings.providers, spec.provider]
        kinds = {**WELL_KNOWN, **{name: described.kind for name, described in self.settings.providers.items()}}
        return next(name for name in candidates if kinds.get(name) == spec.provider)

    def _provider_at(self, id: ModelId, runtime: LocalRuntime) -> LLMProvider:
        """As described, if somebody is described at this address. Keys and headers of another address stay there."""
        for name, described in self.settings.providers.items():
            if id.runs_at(described.kind, described.base_url or ""):
                return self.get_provider(name)
        name = usual_name(runtime)
        there = KINDS[runtime].model_validate({"kind": runtime, "base_url": id.base_url})
        settings = self.settings.model_copy(update={"providers": {**self.settings.providers, name: there}})
        configuration = _Configuration(name, there, settings.agent())
        return self._shared(configuration, lambda: create_llm_provider(name, settings))

    def _configuration(self, name: str, agent_name: str | None, endpoint: EndpointSpec | None = None) -> _Configuration:
        return _Configuration(name, self.settings.providers.get(name), self.settings.agent(agent_name), endpoint)

    def _shared(self, configuration: _Configuration, make: Callable[[], LLMProvider]) -> LLMProvider:
        with self._lock:
            for known, provider in self._made:
                if known == configuration:
                    return provider
            provider = make()
            self._made.append((configuration, provider))
            return provider
