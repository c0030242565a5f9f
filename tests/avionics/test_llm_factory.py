"""A factory makes each provider once, and chats by the id of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from airframe.endpoints import BackendKind, EndpointSpec
from avionics.errors import ConfigurationError
from avionics.llm import (
    InferenceEndpointsProtocol,
    LLMFactory,
    MockProvider,
    NodeProfile,
    create_agent_provider_with_node_awareness,
)
from avionics.settings import LLMConfig, Settings

KEY = "sk-proj-abcdefghijklmnop"


class TestProviders:
    """Who is configured alike is the same."""

    def test_one_provider_for_each_configuration(self) -> None:
        """Agents that are asked for alike share one; another parameter makes another one."""
        settings = Settings(
            llm_provider="mock", agents={"a": {"temperature": 1}, "b": {"temperature": 1}, "c": {"temperature": 0}}
        )
        factory = LLMFactory(settings)
        assert factory.get_provider_for_agent("a") is factory.get_provider_for_agent("b")
        assert factory.get_provider_for_agent("a") is not factory.get_provider_for_agent("c")
        assert factory.get_provider_for_agent("nobody") is factory.get_provider()

    def test_the_key_is_part_of_the_configuration(self) -> None:
        """Two accounts do not share a provider, though their keys look alike when they are masked."""
        account = {"kind": "openai", "api_key": KEY}
        factory = LLMFactory(Settings(providers={"a": account, "b": {**account, "api_key": KEY[::-1]}}))
        assert factory.get_provider("a").endpoint.key != factory.get_provider("b").endpoint.key

    @pytest.mark.anyio
    async def test_a_cleared_cache_makes_providers_anew_and_closes_the_old_ones_too(self) -> None:
        """Who holds one goes on using it until the factory is closed."""
        closed: list[str] = []

        class Watched(MockProvider):
            async def close(self) -> None:
                closed.append(self.name)
                await super().close()

        from avionics.llm import registry

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(registry, "_registered", {"mock": Watched})
            async with LLMFactory(Settings(llm_provider="mock")) as factory:
                first = factory.get_provider()
                factory.clear_cache()
                assert factory.get_provider() is not first
                assert await first.generate(None, "still here") == "still here"
                assert closed == []
        assert closed == ["mock", "mock"]


class TestChats:
    """`create_llm` knows who is to be asked."""

    @pytest.mark.parametrize(
        ("model", "provider", "name", "base_url"),
        [
            ("openai:gpt-5", "openai", "gpt-5", "https://api.openai.com/v1"),
            ("gpt-5", "openai", "gpt-5", "https://api.openai.com/v1"),
            ("claude-sonnet-4-5", "claude", "claude-sonnet-4-5", "https://api.anthropic.com"),
            ("my-own-model", "llamaserver", "my-own-model", "http://127.0.0.1:8080"),
            ("llama3:latest:ollama@localhost:11434", "ollama", "llama3:latest", "http://localhost:11434"),
            ("llama3:latest:ollama", "ollama", "llama3:latest", "http://127.0.0.1:11434"),
            ("qwen3:llama_server@10.0.0.7:9000", "big_box", "qwen3", "http://10.0.0.7:9000"),
            ("qwen3:lm_studio@10.0.0.7:1", "lmstudio", "qwen3", "http://10.0.0.7:1"),
            ("fast", "openai", "gpt-4.1-mini", "https://api.openai.com/v1"),
        ],
    )
    def test_an_id_leads_to_its_provider(self, model: str, provider: str, name: str, base_url: str) -> None:
        """By provider, by the catalog, by runtime and address, by alias; else the first one is asked."""
        settings = Settings(
            openai_api_key=KEY,
            providers={
                "claude": {"kind": "anthropic", "api_key": KEY},
                "big_box": {"kind": "llama_server", "base_url": "http://10.0.0.7:9000"},
            },
            models={"fast": {"id": "openai:gpt-4.1-mini", "temperature": 0.5, "max_tokens": 9}},
        )
        chat = LLMFactory(settings).create_llm(model)
        assert (chat.provider.name, chat.model, chat.provider.endpoint.base_url) == (provider, name, base_url)

    def test_a_key_stays_with_its_address(self) -> None:
        """An id that names another server of the same kind gets no key of ours."""
        settings = Settings(providers={"ollama": {"api_key": KEY, "headers": {"X-A": "b"}}})
        factory = LLMFactory(settings)
        there = factory.create_llm("m:ollama@10.6.6.6:11434").provider.endpoint
        assert (there.key, there.headers) == (None, {})
        for here in ("127.0.0.1:11434", "localhost:11434", "localhost"):
            assert factory.create_llm(f"m:ollama@{here}").provider.endpoint.key == KEY

    def test_a_config_wins_over_the_models_entry(self) -> None:
        """What it does not state is the entry's."""
        settings = Settings(llm_provider="mock", models={"fast": {"id": "mock:m", "temperature": 0.5, "max_tokens": 9}})
        chat = LLMFactory(settings).create_llm("fast", LLMConfig(temperature=0))
        assert (chat.config.temperature, chat.config.max_tokens) == (0, 9)

    @pytest.mark.anyio
    async def test_the_chat_is_ready(self) -> None:
        """It asks at once, for the model's own name and with the entry's parameters."""
        settings = Settings(llm_provider="mock", models={"fast": {"id": "mock:m", "max_tokens": 9}})
        async with LLMFactory(settings) as factory:
            chat = factory.create_llm("fast")
            answer = await chat.send_user_message("Hello there")
            assert isinstance(chat.provider, MockProvider)
            ((_, request),) = chat.provider.script.calls
        assert (answer.content, request.model, request.max_tokens) == ("Hello there", "m", 9)

    def test_an_id_without_a_model_is_an_error(self) -> None:
        """It shows the form of an id."""
        with pytest.raises(ConfigurationError, match="write for example"):
            LLMFactory(Settings()).create_llm("openai:")


@dataclass
class Nodes:
    """Two nodes, of which the planner has the first."""

    profiles: list[NodeProfile] = field(
        default_factory=lambda: [
            NodeProfile(name=name, endpoint=EndpointSpec(base_url=f"http://{name}:8080", model=model))
            for name, model in (("left", "qwen3"), ("right", None))
        ]
    )

    def get_profile_for_agent(self, agent_name: str, /) -> NodeProfile | None:
        return self.profiles[0] if agent_name == "planner" else None

    def list_profiles(self) -> Sequence[NodeProfile]:
        return self.profiles


class TestNodes:
    """In distributed mode an agent is asked for at its node."""

    def test_an_agents_node_is_asked_in_distributed_mode_only(self) -> None:
        """With the node's address and model, and the agent's parameters."""
        assert isinstance(Nodes(), InferenceEndpointsProtocol)
        agents = {"planner": {"temperature": 0.5, "model": "own"}}
        apart = Settings(deployment_mode="distributed", agents=agents)
        provider = create_agent_provider_with_node_awareness(apart, "planner", Nodes())
        assert (provider.endpoint.base_url, provider.default_model) == ("http://left:8080", "qwen3")
        assert provider.config.temperature == 0.5
        for settings, nodes, agent in (
            (Settings(agents=agents), Nodes(), "planner"),
            (apart, None, "planner"),
            (apart, Nodes(), "writer"),
        ):
            provider = create_agent_provider_with_node_awareness(settings, agent, nodes)
            assert provider.endpoint.base_url == "http://127.0.0.1:8080"

    def test_a_node_says_how_it_is_asked(self) -> None:
        """By the name of a provider, whose kind of backend it then is."""
        node = NodeProfile(
            name="n", endpoint=EndpointSpec(base_url="http://n:1", backend_kind=BackendKind.OLLAMA), provider="ollama"
        )
        provider = create_agent_provider_with_node_awareness(
            Settings(deployment_mode="distributed"), "planner", Nodes([node])
        )
        assert (provider.name, provider.kind, provider.endpoint.base_url) == ("ollama", "ollama", "http://n:1")

    def test_a_node_that_is_marked_is_passed_over(self) -> None:
        """Until it is marked healthy again; without any healthy node, the agent's own provider is asked."""
        factory = LLMFactory(Settings(deployment_mode="distributed"), Nodes())

        def asked(agent: str) -> str:
            return factory.get_provider_for_agent(agent).endpoint.base_url

        assert (asked("planner"), asked("writer")) == ("http://left:8080", "http://left:8080")
        factory.mark_node_healthy("left", healthy=False)
        assert asked("planner") == "http://right:8080"
        factory.mark_node_healthy("right", healthy=False)
        assert asked("planner") == "http://127.0.0.1:8080"
        factory.mark_node_healthy("left")
        assert asked("planner") == "http://left:8080"
        factory = LLMFactory(Settings(), Nodes())
        assert asked("planner") == "http://127.0.0.1:8080"
