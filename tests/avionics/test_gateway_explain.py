"""What would become of a call is told without making it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import ToolSpec
from avionics.errors import LLMInvalidRequestError
from avionics.llm import LLMGateway
from avionics.settings import PriceRow, Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio


def gateway_of(**sections: Any) -> LLMGateway:
    settings = Settings(
        agents={"planner": {"route": "r", "temperature": 0.3}},
        providers={"openai": {"api_key": "sk-secret"}, "anthropic": {"api_key": "sk-secret"}},
        routing={
            "routes": {
                "r": {
                    "deployments": [
                        {"provider": "openai", "model": "gpt-4.1-mini"},
                        {"provider": "anthropic", "model": "claude-sonnet-4-5", "when": {"tags": ["eu"]}},
                        {"provider": "llamaserver"},
                    ],
                    "total": 60,
                }
            }
        },
        **sections,
    )
    return LLMGateway(settings, observers=[])


def test_the_plan_is_told_with_what_would_be_sent() -> None:
    """Whom, in order, with bodies and bounds of the price; who is not asked, and why."""
    told = gateway_of().explain("Why?", agent_name="planner", max_tokens=100, seed=7)
    assert (told.route, told.timeout) == ("r", 60)
    assert [target.deployment for target in told.targets] == ["openai/gpt-4.1-mini", "llamaserver"]
    first, second = told.targets
    assert first.preview is not None
    assert first.preview.url == "https://api.openai.com/v1/chat/completions"
    assert isinstance(first.preview.body, dict)
    assert (first.preview.body["model"], first.preview.body["temperature"]) == ("gpt-4.1-mini", 0.3)
    assert first.cost_low_usd is not None
    assert first.cost_high_usd is not None
    assert first.cost_low_usd < first.cost_high_usd < Decimal("0.001")
    assert second.cost_high_usd == 0
    assert [(each.deployment.name, each.reason) for each in told.exclusions] == [
        ("anthropic/claude-sonnet-4-5", "it is for calls with the tag eu")
    ]
    assert "sk-secret" not in repr(told)


def test_what_is_changed_for_a_model_is_told() -> None:
    """Parameters that it does not take, and what the wire format cannot carry."""
    told = gateway_of().explain("Why?", agent_name="planner", tags=["eu"], seed=7)
    (anthropic,) = (target for target in told.targets if target.provider == "anthropic")
    assert "seed" in {change.subject for change in anthropic.changes}


def test_a_target_that_cannot_be_asked_says_why() -> None:
    """Its attempt would fail without anything being sent."""
    gateway = LLMGateway(Settings(llm_provider="mock", llm_fallback_providers=["openai"]), observers=[])
    first, second = gateway.explain("Why?").targets
    assert (first.problem, first.preview) == (None, None)
    assert second.problem is not None
    assert "AVIONICS_OPENAI_API_KEY" in second.problem


async def test_health_limits_and_cache_are_told() -> None:
    """As they stand now; asking changes nothing."""
    settings = Settings(
        llm_provider="openai",
        llm_fallback_providers=["llamaserver"],
        routing={"health": {"failures": 1, "cooldown": 60}},
        limits={"budgets": [{"usd": 5, "per": "total"}]},
        cache={"backend": "memory"},
    )
    gateway = ScriptedGateway(
        settings=settings,
        prices=[PriceRow(provider="openai", input_per_million=Decimal(1), output_per_million=Decimal(1))],
        openai=[Failure(ErrorCategory.SERVER)],
        llamaserver=[Answer(text="a")],
    )
    await gateway.complete("Why?", temperature=0.7)
    for _ in range(2):
        told = gateway.explain("Why?", temperature=0.7)
        assert [target.deployment for target in told.targets] == ["llamaserver"]
        assert "left alone" in told.exclusions[0].reason
        assert [state.left for state in told.limits] == [5]
        assert told.cache is not None
        assert gateway.explain("Why?", temperature=0.0).cache is None
    assert gateway.get_stats().calls == 1


def test_a_capability_that_is_missing_excludes() -> None:
    """With the reason."""
    settings = Settings(
        llm_provider="mine",
        providers={"mine": {"kind": "llama_server", "model": "small"}},
        models={"small": {"spec": {"capabilities": {"tools": False}}}},
    )
    told = LLMGateway(settings, observers=[]).explain(
        "Why?", tools=[ToolSpec(name="look", description="", parameters={})]
    )
    assert told.targets == ()
    assert "cannot call tools" in told.exclusions[0].reason


def test_ones_own_server_costs_nothing_under_whatever_name() -> None:
    """What kind of backend it is tells, not what the settings call it."""
    settings = Settings(llm_provider="mine", providers={"mine": {"kind": "llama_server", "model": "small"}})
    (target,) = LLMGateway(settings, observers=[]).explain("Why?").targets
    assert (target.cost_low_usd, target.cost_high_usd) == (Decimal(0), Decimal(0))


def test_bad_input_is_refused_as_in_a_call() -> None:
    """The error names the field."""
    with pytest.raises(LLMInvalidRequestError, match="timeout"):
        gateway_of().explain("Why?", timeout=0)
