"""Nodes of the settings, and the providers that ask them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avionics.errors import ConfigurationError
from avionics.llm import LLMFactory, create_agent_provider_with_node_awareness
from avionics.llm.nodes import ConfigMapNodes, FileNodes, NodePool, StaticNodes, node_pool, nodes_from_settings
from avionics.settings import Settings, settings_schema

KEY = "sk-made-up-for-this-test"


def distributed(**nodes: object) -> Settings:
    return Settings(deployment_mode="distributed", nodes=nodes)


class TestSources:
    """Nodes come from one place."""

    def test_they_are_listed_in_the_settings(self) -> None:
        """In the order in which they stand there."""
        nodes = nodes_from_settings(
            distributed(members={"b": {"base_url": "http://b"}, "a": {"base_url": "http://a", "kind": "ollama"}})
        )
        assert isinstance(nodes, StaticNodes)
        assert [(node.name, node.provider) for node in nodes.list_profiles()] == [("b", "llamaserver"), ("a", "ollama")]

    def test_a_variable_may_describe_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As any setting; the key of a node stands in a variable of its own."""
        monkeypatch.setenv("AVIONICS_NODES__MEMBERS__LEFT__BASE_URL", "http://10.0.0.7:8080")
        monkeypatch.setenv("AVIONICS_NODES__MEMBERS__LEFT__API_KEY", KEY)
        (left,) = nodes_from_settings(Settings()).list_profiles()
        assert (left.endpoint.base_url, left.endpoint.key) == ("http://10.0.0.7:8080", KEY)
        assert KEY not in repr(left)

    def test_in_a_file_or_a_config_map(self, tmp_path: Path) -> None:
        """The file is read now, the ConfigMap when it is watched."""
        file = tmp_path / "nodes.json"
        file.write_text(json.dumps({"nodes": {"a": {"base_url": "http://a", "provider": "vllm"}}}))
        providers = {"vllm": {"kind": "openai_compatible", "base_url": "http://vllm", "api_key": KEY}}
        nodes = nodes_from_settings(Settings(nodes={"file": file}, providers=providers))
        assert isinstance(nodes, FileNodes)
        (node,) = nodes.list_profiles()
        assert (node.provider, node.endpoint.backend_kind) == ("vllm", "openai_compatible")
        assert node.endpoint.key is None, "the key of a provider is not sent to a node"
        assert isinstance(nodes_from_settings(distributed(config_map={"name": "nodes"})), ConfigMapNodes)

    def test_two_places_are_an_error(self, tmp_path: Path) -> None:
        """Which one holds would not be clear."""
        with pytest.raises(ConfigurationError, match="members and file are given, and nodes come from one of them"):
            distributed(members={"a": {"base_url": "http://a"}}, file=tmp_path)

    @pytest.mark.parametrize(
        ("node", "said"),
        [
            ({}, r"nodes\.members\.a\.base_url .*field required"),
            ({"base_url": "http://a", "sloths": 4}, r"nodes\.members\.a\.sloths .*did you mean 'slots'\?"),
            ({"base_url": "a:8080"}, "must begin with http:// or https://"),
        ],
    )
    def test_a_mistake_is_one_clear_error(self, node: dict[str, object], said: str) -> None:
        """It names the field and the remedy."""
        with pytest.raises(ConfigurationError, match=said):
            distributed(members={"a": node})

    def test_an_editor_knows_the_section(self) -> None:
        """The JSON Schema has it."""
        properties = settings_schema()["properties"]
        assert isinstance(properties, dict)
        assert properties["nodes"] != {}

    def test_only_distributed_mode_has_nodes(self) -> None:
        """Described or given, they are asked in no other."""
        members = {"a": {"base_url": "http://a"}}
        assert node_pool(Settings(nodes={"members": members})) is None
        pool = node_pool(distributed(members=members, health={"failures": 7}))
        assert pool is not None
        assert pool.health.failures == 7
        given = NodePool(StaticNodes())
        assert node_pool(distributed(), given) is given


class TestProviders:
    """An agent is asked for at the best node."""

    def test_a_factory_asks_the_nodes_of_the_settings(self) -> None:
        """Its own one first; marked, another one that serves it; then its own provider."""
        settings = Settings(
            deployment_mode="distributed",
            nodes={
                "members": {
                    "other": {"base_url": "http://other", "agents": ["writer"]},
                    "shared": {"base_url": "http://shared", "kind": "ollama"},
                    "own": {"base_url": "http://own", "agents": ["planner"]},
                }
            },
        )
        factory = LLMFactory(settings)
        assert factory.nodes is not None

        def asked() -> tuple[str, str]:
            provider = factory.get_provider_for_agent("planner")
            return provider.name, provider.endpoint.base_url

        assert asked() == ("llamaserver", "http://own")
        factory.mark_node_healthy("own", healthy=False)
        assert asked() == ("ollama", "http://shared")
        factory.nodes.mark_node_healthy("shared", healthy=False)
        assert asked() == ("llamaserver", "http://127.0.0.1:8080")
        factory.mark_node_healthy("own")
        assert asked() == ("llamaserver", "http://own")

    def test_a_pool_is_a_registry_for_a_single_provider(self) -> None:
        """The best node of now is asked, for an agent without a node of its own too."""
        settings = distributed(members={"a": {"base_url": "http://a"}, "b": {"base_url": "http://b"}})
        pool = node_pool(settings)
        assert pool is not None
        pool.began("a")
        provider = create_agent_provider_with_node_awareness(settings, "planner", pool)
        assert provider.endpoint.base_url == "http://b"
