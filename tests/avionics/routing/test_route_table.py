"""From the settings to the route of a call."""

from __future__ import annotations

from typing import Any

import pytest

from avionics.errors import ConfigurationError
from avionics.llm.routing import Deployment, Route, RouteTable
from avionics.settings import LLMConfig, Settings

BACKUP = {"base_url": "https://backup.example"}
PROVIDERS = {
    "openai": {"api_key": "sk-made-up", "backups": [BACKUP, {**BACKUP, "own_quota": True}]},
    "azure": {
        "api_key": "made-up",
        "base_url": "https://a.openai.azure.com",
        "model": "east-gpt",
        "backups": [{**BACKUP, "model": "west-gpt"}],
    },
}


def names(route: Route) -> list[list[str]]:
    return [[each.name for each in tier.deployments] for tier in route.tiers]


def table(deployments: list[Any] | None = None, **settings: Any) -> RouteTable:
    routing = {"routes": {"fast": {"deployments": deployments}}} if deployments else {}
    return RouteTable.from_settings(Settings(providers=PROVIDERS, routing=routing, **settings))


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ({}, [["llamaserver"]]),
        ({"provider": "mock"}, [["mock"]]),
        ({"provider": "mock", "model": "m"}, [["mock/m"]]),
        ({"provider": "mock", "fallbacks": ["anthropic", "mock", "anthropic"]}, [["mock"], ["anthropic"]]),
        ({"provider": "openai"}, [["openai", "openai#0", "openai#1"]]),
        ({"provider": "mock", "fallbacks": ["openai"]}, [["mock"], ["openai", "openai#0", "openai#1"]]),
    ],
)
def test_provider_and_fallbacks_are_short_for_a_route(agent: dict[str, Any], expected: list[list[str]]) -> None:
    """Each provider once, each followed by its backups; the model is the first provider's."""
    assert names(table(agents={"default": agent}).find()) == expected


def test_who_is_asked_for_an_agent() -> None:
    """By its route, by its own provider, or as `default` where it has no entry."""
    routes = table(
        [{"provider": "openai", "model": "gpt-5"}],
        agents={"default": {"provider": "mock"}, "planner": {"route": "fast"}, "poet": {"provider": "anthropic"}},
    )
    assert (routes.find("planner").name, routes.find("poet").name, routes.find("nobody").name) == (
        "fast",
        "poet",
        "default",
    )
    assert names(routes.find("poet")) == [["anthropic"]]
    assert routes.find("nobody") == routes.find()
    assert routes.providers() == ("mock", "openai", "anthropic")
    assert [route.name for route in routes] == ["fast", "default", "poet"]


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        (None, None, [["mock"], ["anthropic"]]),
        ("fast", None, [["azure", "azure/west-gpt#0", "mock"]]),
        ("other", None, [["mock/other"], ["anthropic"]]),
        ("clever", None, [["anthropic/clever"], ["mock"], ["anthropic"]]),
        ("local", None, [["boxes/local"], ["mock"], ["anthropic"]]),
        ("own", None, [["mock/own"], ["anthropic"]]),
        (None, "anthropic", [["anthropic"]]),
        ("m", "mock", [["mock/m"]]),
        (None, "openai", [["openai", "openai#0", "openai#1"]]),
    ],
)
def test_a_call_may_name_a_route_a_model_or_a_provider(
    model: str | None, provider: str | None, expected: list[list[str]]
) -> None:
    """A route wins over a model; an alias goes to the provider that it names; a provider is asked alone."""
    providers = {**PROVIDERS, "boxes": {"kind": "ollama", "base_url": "http://10.0.0.7:11434"}}
    settings = Settings(
        providers=providers,
        routing={"routes": {"fast": {"deployments": [[{"provider": "azure"}, {"provider": "mock"}]]}}},
        models={
            "clever": {"id": "anthropic:claude-opus-4-1"},
            "local": {"id": "qwen:ollama@10.0.0.7:11434"},
            "own": {"temperature": 1},
        },
        agents={"default": {"provider": "mock", "fallbacks": ["anthropic"]}},
    )
    assert names(RouteTable.from_settings(settings).find(model=model, provider=provider)) == expected


def test_a_provider_that_a_call_names_has_the_agents_model_if_it_is_the_agents() -> None:
    """A model is known to its provider: another one is asked for its own default."""
    routes = table(agents={"default": {"provider": "mock", "model": "a"}})
    assert names(routes.find(provider="mock")) == [["mock/a"]]
    assert names(routes.find(provider="anthropic")) == [["anthropic"]]


def test_another_model_is_asked_of_the_first_of_the_route_and_its_backups() -> None:
    """Its equals and fallbacks keep their models; who would be asked for the same twice is asked once."""
    routes = table(
        [[{"provider": "azure"}, {"provider": "openai", "model": "gpt-5", "weight": 0}], {"provider": "mock"}],
        agents={"planner": {"route": "fast"}},
    )
    assert names(routes.find("planner", model="new")) == [
        ["azure/new", "azure/new#0"],
        ["openai/gpt-5", "openai/gpt-5#0", "openai/gpt-5#1"],
        ["mock"],
    ]
    agents = {"default": {"provider": "mock", "model": "a", "fallbacks": ["mock"]}}
    assert names(table(agents=agents).find(model="b")) == [["mock/b"]]


def test_a_backups_own_model_is_for_the_model_of_its_provider() -> None:
    """It is that model's name there: asked for another one, the backup is asked for that."""
    routes = table([{"provider": "azure"}, {"provider": "azure", "model": "big-gpt"}])
    assert names(routes.find(model="fast")) == [
        ["azure", "azure/west-gpt#0"],
        ["azure/big-gpt", "azure/big-gpt#0"],
    ]


def test_backups_know_whether_their_quota_is_their_own() -> None:
    """As `own_quota` says, in every route."""
    (tier,) = table(agents={"default": {"provider": "openai"}}).find().tiers
    assert [each.own_quota for each in tier.deployments] == [False, False, True]


def test_what_a_deployment_says_comes_along() -> None:
    """Parameters, weight and conditions, for its backups too."""
    routes = table([{"provider": "openai", "weight": 2, "temperature": 0.1, "when": {"tags": ["eu"]}}])
    for deployment in routes.find(model="fast").tiers[0].deployments:
        assert deployment.parameters == LLMConfig(temperature=0.1)
        assert (deployment.weight, deployment.when.tags) == (2.0, frozenset({"eu"}))


def test_the_policy_of_a_route_is_that_of_its_settings() -> None:
    """Deadline, hedge, number of attempts, and what is held back of a stream; an agent's own route has the defaults."""
    settings = Settings(
        routing={
            "routes": {
                "fast": {
                    "deployments": [{"provider": "mock"}],
                    "balancing": "sticky",
                    "total": 60,
                    "max_attempts": 3,
                    "hedge": {"after": 2, "most": 2},
                    "stream": {"buffer_events": 8, "continue_broken": True},
                    "content_filter": [{"provider": "anthropic"}],
                }
            }
        }
    )
    routes = RouteTable.from_settings(settings)
    fast, policy = routes.find(model="fast"), routes.find(model="fast").policy
    assert (policy.total, policy.max_attempts, policy.hedge_after, policy.hedge_most) == (60, 3, 2, 2)
    assert (policy.stream.buffer_events, policy.stream.continue_broken) == (8, True)
    assert fast.tiers[0].balancing == "sticky"
    assert [each.provider for each in fast.content_filter[0].deployments] == ["anthropic"]
    default = routes.find().policy
    assert (default.total, default.hedge_after, default.stream.buffer_events) == (None, None, 1)


def test_fallbacks_given_in_code_win() -> None:
    """They take the place of those of the settings, and leave the routes of `routing.routes` alone."""
    settings = Settings(
        routing={"routes": {"fast": {"deployments": [{"provider": "azure"}]}}},
        agents={"default": {"provider": "mock", "fallbacks": ["openai"]}, "planner": {"route": "fast"}},
    )
    routes = RouteTable.from_settings(settings, ["anthropic"])
    assert names(routes.find()) == [["mock"], ["anthropic"]]
    assert names(routes.find("planner")) == [["azure"]]


def test_ready_made_providers_bring_their_backups() -> None:
    """What is given to a gateway is not in the settings, so the number of its backups is told."""
    settings = Settings(agents={"default": {"provider": "mock"}})
    assert names(RouteTable.from_settings(settings, backups={"mock": 2}).find()) == [["mock", "mock#0", "mock#1"]]


def test_a_deployment_stands_in_a_chain_once() -> None:
    """State is kept by its name, so a second one would be the same; in another chain it may stand again."""
    with pytest.raises(ConfigurationError, match=r"routing\.routes\.fast\.deployments: mock/m stands there twice"):
        table([{"provider": "mock", "model": "m"}, {"provider": "mock", "model": "m", "temperature": 1}])
    route = {"deployments": [{"provider": "mock"}], "context_length": [{"provider": "mock"}]}
    routes = RouteTable.from_settings(Settings(routing={"routes": {"fast": route}}))
    assert [each.name for each in routes.find(model="fast").deployments()] == ["mock"]


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        (Deployment(provider="openai"), "openai"),
        (Deployment(provider="openai", model="gpt-5"), "openai/gpt-5"),
        (Deployment(provider="openai", model="gpt-5", backup=2), "openai/gpt-5#2"),
        (Deployment(provider="openai", backup=0, weight=2), "openai#0"),
    ],
)
def test_a_deployment_has_a_name(deployment: Deployment, expected: str) -> None:
    """Provider, model and backup: what its health is kept under."""
    assert deployment.name == expected
