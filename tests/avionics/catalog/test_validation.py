"""`validate_config` finds everything that is wrong with the settings at once, and sends nothing."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from avionics.errors import ConfigurationValidationError
from avionics.llm.validation import find_config_problems, validate_config
from avionics.settings import Settings

KEY = "sk-made-up-for-this-test"
TODAY = date(2026, 11, 20)


def problems(**settings: Any) -> tuple[str, ...]:
    return tuple(problem.message for problem in find_config_problems(Settings(**settings), today=TODAY))


def test_the_defaults_are_fine() -> None:
    """Nothing is asked for that could be wrong."""
    validate_config(Settings())


def test_every_problem_is_told_with_its_place() -> None:
    """An agent's parameters, a fallback without its key, and a model's own: all in one error."""
    with pytest.raises(ConfigurationValidationError) as caught:
        validate_config(
            Settings(
                openai_api_key=KEY,
                agents={
                    "default": {"provider": "openai", "fallbacks": ["anthropic"]},
                    "planner": {"model": "o3", "temperature": 0.2, "max_tokens": 200_000},
                },
                models={"fast": {"id": "openai:gpt-5-mini", "top_p": 0.5}},
            ),
            today=TODAY,
        )
    fast, key, *planner = caught.value.problems
    assert fast.startswith("models.fast: gpt-5-mini does not take top_p")
    assert "AVIONICS_ANTHROPIC_API_KEY" in key
    assert [line.partition(";")[0].partition(",")[0] for line in planner] == [
        "agents.planner at openai: o3 does not take temperature",
        "agents.planner at openai: o3 answers with at most 100000 tokens",
    ]
    assert KEY not in str(caught.value)


def test_an_unknown_model_is_told_the_nearest() -> None:
    """At the vendors' own addresses a misspelt name is a problem before the first call."""
    (problem,) = problems(openai_api_key=KEY, llm_provider="openai", default_model="gpt-5-minni")
    assert "agents.default at openai: 'gpt-5-minni'" in problem
    assert "openai:gpt-5-mini" in problem


def test_a_model_that_is_not_for_chats_is_told_its_call() -> None:
    """An image model as an agent's model."""
    (problem,) = problems(openai_api_key=KEY, llm_provider="openai", default_model="gpt-image-2")
    assert "POST /v1/images/generations" in problem


@pytest.mark.parametrize(("today", "found"), [(date(2026, 12, 11), 0), (date(2026, 12, 12), 1)])
def test_a_model_after_its_last_day_is_a_problem(today: date, found: int) -> None:
    """On its last day it still answers."""
    settings = Settings(openai_api_key=KEY, llm_provider="openai", default_model="gpt-5")
    assert len(find_config_problems(settings, today=today)) == found


def test_every_model_that_is_like_nobody_is_named() -> None:
    """Not only the first one."""
    found = problems(models={name: {"spec": {"like": "nobody"}} for name in ("azure:a", "azure:b")})
    assert [problem.split("'")[1] for problem in found] == ["azure:a", "azure:b"]


def test_what_is_not_on_this_machine_is_not_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and a package: calls may be made elsewhere. What the model does not take is, where the settings say so."""

    def find_nothing(name: str) -> None:
        """As where no extra is installed."""

    monkeypatch.setattr("importlib.util.find_spec", find_nothing)
    settings = Settings(providers={"openai": {}, "llamacpp": {"model_path": "model.gguf"}})
    assert [problem.fatal for problem in find_config_problems(settings, today=TODAY)] == [False, False]


@pytest.mark.parametrize("policy", ["error", "warn", "drop"])
def test_the_policy_says_what_is_fatal(policy: str) -> None:
    """A parameter that a model does not take is told in any case."""
    settings = Settings(
        openai_api_key=KEY,
        agents={"default": {"provider": "openai", "model": "o3", "temperature": 0.2}},
        routing={"unsupported_parameters": policy},
    )
    (problem,) = find_config_problems(settings, today=TODAY)
    assert problem.message.startswith("agents.default at openai: o3 does not take temperature")
    assert problem.fatal is (policy == "error")


def test_a_provider_that_nobody_asks_is_looked_at_too() -> None:
    """It is there to be asked some day, and is named once, whoever else names it."""
    found = problems(providers={"azure": {}}, models={"a": {"id": "azure:a"}})
    assert all(
        problem.startswith(("providers.azure.base_url", "models.a: providers.azure.base_url")) for problem in found
    )
    assert found[0].startswith("providers.azure.base_url")
