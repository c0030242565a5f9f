"""What the settings say of routes, and what they refuse."""

from __future__ import annotations

import json
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError, validate

from avionics.cli.settings_report import settings_in_force
from avionics.errors import ConfigurationError
from avionics.settings import Settings, settings_schema

FAST = {"deployments": [{"provider": "mock"}]}


def route_of(**route: Any) -> Settings:
    return Settings(routing={"routes": {"fast": route}})


def test_a_route_is_read_from_a_file(tmp_path: Path) -> None:
    """A deployment alone is a group of one; parameters, weights and conditions stand beside the provider."""
    file = tmp_path / "avionics.yaml"
    file.write_text(
        """
        routing:
          routes:
            fast:
              deployments:
                - [{provider: openai, model: gpt-5-mini, weight: 3}, {provider: azure}]
                - {provider: anthropic, temperature: 0.1, when: {tags: [eu], between: ["08:00", "20:00"]}}
              balancing: least_busy
              hedge: {after: 2}
              stream: {buffer_events: 8}
        agents: {planner: {route: fast, max_tokens: 100}}
        """
    )
    settings = Settings(config=file)
    fast = settings.routing.routes["fast"]
    first, second = fast.deployments
    assert [(each.provider, each.model, each.weight) for each in first] == [
        ("openai", "gpt-5-mini", 3.0),
        ("azure", None, 1.0),
    ]
    assert [(each.temperature, each.when.tags, each.when.between) for each in second] == [
        (0.1, ("eu",), (time(8), time(20)))
    ]
    assert (fast.balancing, fast.hedge and fast.hedge.most, fast.stream.buffer_bytes) == ("least_busy", 1, 2000)
    assert settings.agent("planner").route == "fast"


def test_an_agent_with_a_route_has_its_first_provider() -> None:
    """Who makes a provider for an agent gets the one that the route names first, with the agent's parameters."""
    route = {"deployments": [{"provider": "openai", "model": "gpt-5"}, {"provider": "mock"}]}
    settings = Settings(
        routing={"routes": {"fast": route}},
        agents={
            "default": {"provider": "llamaserver", "model": "qwen", "fallbacks": ["mock"], "temperature": 0.5},
            "planner": {"route": "fast"},
        },
    )
    planner = settings.agent("planner")
    assert (planner.provider, planner.model, planner.fallbacks, planner.temperature) == ("openai", "gpt-5", (), 0.5)
    assert settings.agent("writer").route is None


@pytest.mark.parametrize(
    ("writer", "expected"),
    [
        ({"temperature": 1}, "fast"),
        ({"provider": "mock"}, None),
        ({"fallbacks": ["mock"]}, None),
        ({"route": "other"}, "other"),
    ],
)
def test_the_default_route_is_for_who_says_nothing_of_whom_to_ask(
    writer: dict[str, object], expected: str | None
) -> None:
    """An agent that names a provider, a model or fallbacks of its own is not asked by the route of `default`."""
    settings = Settings(
        routing={"routes": {"fast": FAST, "other": FAST}}, agents={"default": {"route": "fast"}, "writer": writer}
    )
    assert settings.agent("writer").route == expected


def test_asking_another_provider_first_leaves_the_default_route() -> None:
    """`asking` means that provider, whatever the route of `default` says."""
    settings = Settings(routing={"routes": {"fast": FAST}}, agents={"default": {"route": "fast"}}).asking("openai")
    assert (settings.agent().provider, settings.agent().route) == ("openai", None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"agents": {"a": {"route": "fats"}}},
            "agents.a.route (argument agents.a.route): there is no such route; did you",
        ),
        ({"models": {"fast": {"id": "openai:gpt-5"}}}, "routing.routes.fast"),
        (
            {"agents": {"a": {"route": "fast", "provider": "mock"}}},
            "give either route, or provider, model and fallbacks",
        ),
        ({"routing": {"health": {"cooldown": 10, "longest_cooldown": 5}}}, "must not be shorter than cooldown"),
        ({"routing": {"concurrency": {"start": 10, "most": 5}}}, "most must not be smaller than start"),
        ({"routing": {"helth": {}}}, "did you mean 'health'?"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(settings: dict[str, Any], said: str) -> None:
    """Names that mean nothing, or two things, and limits that contradict each other."""
    routing = {"routes": {"fast": FAST}, **settings.pop("routing", {})}
    with pytest.raises(ConfigurationError) as caught:
        Settings(routing=routing, **settings)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("deployment", "field", "said"),
    [
        ({"model": "gpt-5"}, "provider", "field required"),
        ({"provider": "mock", "weight": -1}, "weight", "greater than or equal to 0"),
        ({"provider": "mock", "wieght": 1}, "wieght", "did you mean 'weight'?"),
        ({"provider": "mock", "when": {"between": [480, 1200]}}, "when.between.0", 'with quotes, such as "08:00"'),
        ({"provider": "mock", "when": {"between": ["8", "20:00"]}}, "when.between.0", 'with quotes, such as "08:00"'),
        ({"provider": "mock", "when": {"between": ["08:00", "08:00"]}}, "when", "must not end when it begins"),
        ({"provider": "mock", "when": {"min_input_tokens": 9, "max_input_tokens": 8}}, "when", "must not be smaller"),
        ({"provider": "mock", "when": {"timezone": "Mars/Olympus"}}, "when.timezone", "no such time zone"),
    ],
)
def test_a_mistake_in_a_deployment_is_told_with_its_place(deployment: dict[str, Any], field: str, said: str) -> None:
    """However deep it stands; a time of day without quotes too, which YAML reads as a number."""
    with pytest.raises(ConfigurationError) as caught:
        route_of(deployments=[{"provider": "mock"}, [deployment]])
    assert f"routing.routes.fast.deployments.1.0.{field} " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("deployments", ["[]", "[[]]", "null"])
def test_a_route_asks_somebody(deployments: str) -> None:
    """Neither a route nor a group of equals is empty."""
    with pytest.raises(ConfigurationError, match=r"routing\.routes\.fast\.deployments"):
        route_of(deployments=json.loads(deployments))


def test_a_deployment_alone_is_right_for_editors_too() -> None:
    """The JSON Schema takes it with and without a list around it, and refuses what the settings refuse."""
    schema = settings_schema()
    for group in ({"provider": "mock"}, [{"provider": "mock", "when": {"between": ["08:00", "20:00"]}}]):
        validate({"routing": {"routes": {"fast": {"deployments": [group]}}}}, schema)
    with pytest.raises(ValidationError):
        validate({"routing": {"routes": {"fast": {"deployments": [{"model": "gpt-5"}]}}}}, schema)


def test_each_deployment_is_shown_with_its_line(tmp_path: Path) -> None:
    """In `avionics config show`: those in a group, and those alone."""
    file = tmp_path / "avionics.yaml"
    file.write_text(
        "routing:\n  routes:\n    fast:\n      deployments:\n"
        "        - [{provider: openai}, {provider: azure}]\n        - {provider: mock}\n"
    )
    rows = {row.name: row for row in settings_in_force(Settings(config=file))}
    shown = [rows[f"routing.routes.fast.deployments.{place}.provider"] for place in ("0.0", "0.1", "1.0")]
    assert [(row.value, row.source) for row in shown] == [
        ("openai", f"{file}, line 5"),
        ("azure", f"{file}, line 5"),
        ("mock", f"{file}, line 6"),
    ]
