"""What each family of models is sent for the same wishes. Expected: by hand, from the rules the vendors publish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from airframe.types import Message, NamedTool, ReasoningOptions, ToolSpec

pytestmark = pytest.mark.anyio

TOOL = ToolSpec(name="look_up")
ABSENT: Any = None


def think(effort: str | None = None, **options: Any) -> dict[str, Any]:
    return {"reasoning": ReasoningOptions(effort=effort, **options)}


class Case(NamedTuple):
    kind: str
    model: str
    wish: dict[str, Any]
    sent: dict[str, Any]
    warned: tuple[str, ...] = ()


CASES = [
    # -- models that do not reason take sampling, no effort, and know the role system
    Case("openai", "gpt-4.1", {"temperature": 0.2, "max_tokens": 9}, {"temperature": 0.2, "max_completion_tokens": 9}),
    Case("openai", "gpt-4o", think("high"), {"reasoning_effort": ABSENT}, ("reasoning",)),
    Case("openai", "gpt-4o", think("none"), {"reasoning_effort": ABSENT}),
    Case("openai", "gpt-4o", {"verbosity": "low"}, {"verbosity": ABSENT}, ("verbosity",)),
    # -- the o series: always reasons, one tool at a time
    Case("openai", "o3", {"temperature": 0.2}, {"temperature": ABSENT}, ("temperature",)),
    Case("openai", "o3", {"max_tokens": 9}, {"max_completion_tokens": 9, "max_tokens": ABSENT}),
    Case("openai", "o3", {"stop": ["x"]}, {"stop": ABSENT}, ("stop",)),
    Case("openai", "o1", {"stop": ["x"]}, {"stop": ["x"]}),
    Case("openai", "o4-mini", think("minimal"), {"reasoning_effort": "low"}, ("reasoning.effort",)),
    Case(
        "openai",
        "o3",
        {"tools": [TOOL], "parallel_tool_calls": True},
        {"parallel_tool_calls": ABSENT},
        ("parallel_tool_calls",),
    ),
    Case("openai", "o1-mini", think("high"), {"reasoning_effort": ABSENT}, ("reasoning",)),
    # -- gpt-5: minimal to high, never without reasoning
    Case("openai", "gpt-5", think("minimal"), {"reasoning_effort": "minimal"}),
    Case("openai", "gpt-5", think("none"), {"reasoning_effort": "minimal"}, ("reasoning",)),
    Case("openai", "gpt-5-mini", think("xhigh"), {"reasoning_effort": "high"}, ("reasoning.effort",)),
    Case(
        "openai",
        "gpt-5",
        {"top_p": 0.5, "logprobs": True},
        {"top_p": ABSENT, "logprobs": ABSENT},
        ("top_p", "logprobs"),
    ),
    Case(
        "openai",
        "gpt-5",
        {"extra_params": {"logit_bias": {"1": 2}}},
        {"logit_bias": ABSENT},
        ("extra_params.logit_bias",),
    ),
    Case("openai", "gpt-5", {"verbosity": "high"}, {"verbosity": "high"}),
    Case("openai", "gpt-5", {"verbosity": "huge"}, {"verbosity": ABSENT}, ("verbosity",)),
    Case("openai", "gpt-5", think(budget_tokens=8000), {"reasoning_effort": "medium"}, ("reasoning.budget_tokens",)),
    Case("openai_responses", "gpt-5-pro", think("low"), {"reasoning": {"effort": "high"}}, ("reasoning.effort",)),
    # -- gpt-5.1 to 5.4: no reasoning unless asked for, sampling only without
    Case("openai", "gpt-5.1", {"temperature": 0.2}, {"temperature": 0.2, "reasoning_effort": ABSENT}),
    Case(
        "openai",
        "gpt-5.1",
        {"temperature": 0.2, **think("low")},
        {"temperature": ABSENT, "reasoning_effort": "low"},
        ("temperature",),
    ),
    Case("openai", "gpt-5.1", {"temperature": 0.2, **think("none")}, {"temperature": 0.2, "reasoning_effort": "none"}),
    Case("openai", "gpt-5.1", think("xhigh"), {"reasoning_effort": "high"}, ("reasoning.effort",)),
    Case("openai", "gpt-5.2", think("xhigh"), {"reasoning_effort": "xhigh"}),
    Case("openai", "gpt-5.4", think("minimal"), {"reasoning_effort": "none"}, ("reasoning.effort",)),
    Case("openai", "gpt-5.1", think(enabled=True), {"reasoning_effort": "medium"}),
    Case("openai", "gpt-5.1", think(enabled=False), {"reasoning_effort": "none"}),
    # -- gpt-5.5: reasons unless told not to
    Case("openai", "gpt-5.5", {"temperature": 0.2}, {"temperature": ABSENT}, ("temperature",)),
    Case("openai", "gpt-5.5", {"temperature": 0.2, **think("none")}, {"temperature": 0.2, "reasoning_effort": "none"}),
    # -- gpt-5.6 and gpt-6-sol, -luna: chat completions call tools only without reasoning, and know no `max`
    Case("openai", "gpt-5.6-sol", {"tools": [TOOL]}, {"reasoning_effort": "none"}, ("reasoning.effort",)),
    Case(
        "openai", "gpt-6-luna", {"tools": [TOOL], **think("high")}, {"reasoning_effort": "none"}, ("reasoning.effort",)
    ),
    Case("openai", "gpt-6-sol", think("max"), {"reasoning_effort": "xhigh"}, ("reasoning.effort",)),
    Case("openai_responses", "gpt-6-sol", think("max"), {"reasoning": {"effort": "max"}}),
    Case("openai_responses", "gpt-5.6-sol", {"tools": [TOOL], **think("high")}, {"reasoning": {"effort": "high"}}),
    Case("openai_responses", "gpt-5.6-sol", {"tools": [TOOL]}, {"reasoning": ABSENT}),
    # -- gpt-6-astra and 6.1-sol: always reason
    Case("openai_responses", "gpt-6-astra", think("none"), {"reasoning": {"effort": "low"}}, ("reasoning",)),
    Case("openai_responses", "gpt-6-astra", {"tools": [TOOL], "top_p": 0.1}, {"top_p": ABSENT}, ("top_p",)),
    Case("openai", "gpt-6.1-terra", think("none"), {"reasoning_effort": "none"}),
    # -- the same models on Azure and over OpenRouter, which says efforts to the model's provider itself
    Case("azure", "gpt-5", {"temperature": 0.2}, {"temperature": ABSENT}, ("temperature",)),
    Case("openrouter", "openai/gpt-5", {"temperature": 0.2}, {"temperature": ABSENT}, ("temperature",)),
    Case("openrouter", "anthropic/claude-opus-5.5", {"temperature": 0.2}, {"temperature": ABSENT}, ("temperature",)),
    Case("openrouter", "anthropic/claude-opus-5.5", think(budget_tokens=2000), {"reasoning": {"max_tokens": 2000}}),
    # -- Claude up to 4.5: thinks within a budget
    Case("anthropic", "claude-haiku-4-5", {"temperature": 0.2}, {"temperature": 0.2, "thinking": ABSENT}),
    Case(
        "anthropic",
        "claude-haiku-4-5",
        think("low"),
        {"thinking": {"type": "enabled", "budget_tokens": 2048}, "output_config": ABSENT},
    ),
    Case(
        "anthropic",
        "claude-sonnet-4-5",
        think(budget_tokens=5000),
        {"thinking": {"type": "enabled", "budget_tokens": 5000}},
    ),
    Case("anthropic", "claude-sonnet-4-5", think(enabled=False), {"thinking": {"type": "disabled"}}),
    Case(
        "anthropic",
        "claude-sonnet-4-5",
        think(
            "high",
        )
        | {"max_tokens": 4096},
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    ),
    Case("anthropic", "claude-sonnet-4-5", think("high") | {"max_tokens": 500}, {"thinking": ABSENT}, ("reasoning",)),
    Case(
        "anthropic",
        "claude-sonnet-4-5",
        {"temperature": 0.2, **think("low")},
        {"temperature": ABSENT},
        ("temperature",),
    ),
    Case(
        "anthropic",
        "claude-sonnet-4-5",
        {"tools": [TOOL], "tool_choice": "required", **think("low")},
        {"tool_choice": ABSENT},
        ("tool_choice",),
    ),
    Case(
        "anthropic", "claude-sonnet-4-5", {"tools": [TOOL], "tool_choice": "required"}, {"tool_choice": {"type": "any"}}
    ),
    Case(
        "anthropic",
        "claude-opus-4-5",
        think("medium"),
        {"thinking": {"type": "enabled", "budget_tokens": 8192}, "output_config": {"effort": "medium"}},
    ),
    # -- 4.6: adaptive, a budget still taken
    Case(
        "anthropic",
        "claude-opus-4-6",
        think("max"),
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
    ),
    Case("anthropic", "claude-opus-4-6", think("xhigh"), {"output_config": {"effort": "high"}}, ("reasoning.effort",)),
    Case(
        "anthropic",
        "claude-sonnet-4-6",
        think(budget_tokens=4000),
        {"thinking": {"type": "enabled", "budget_tokens": 4000}},
    ),
    Case(
        "anthropic",
        "claude-opus-4-6",
        {"tools": [TOOL], "tool_choice": "required", **think("low")},
        {"tool_choice": {"type": "any"}},
    ),
    # -- since 4.7: adaptive only, no sampling
    Case(
        "anthropic",
        "claude-opus-4-7",
        {"temperature": 0.2, "top_k": 5},
        {"temperature": ABSENT, "top_k": ABSENT},
        ("temperature", "top_k"),
    ),
    Case(
        "anthropic",
        "claude-opus-4-8",
        think(budget_tokens=9000),
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ("reasoning.budget_tokens",),
    ),
    Case("anthropic", "claude-opus-4-7", think(enabled=False), {"thinking": {"type": "disabled"}}),
    Case("anthropic", "claude-opus-5", think("none"), {"thinking": {"type": "disabled"}, "output_config": ABSENT}),
    Case(
        "anthropic",
        "claude-opus-5",
        think("xhigh", enabled=False),
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
        ("reasoning.effort",),
    ),
    Case(
        "anthropic",
        "claude-sonnet-5",
        think("xhigh", enabled=False),
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "xhigh"}},
    ),
    # -- those that cannot stop thinking, or be made to call a tool
    Case(
        "anthropic",
        "claude-fable-5",
        think(enabled=False),
        {"thinking": ABSENT, "output_config": {"effort": "low"}},
        ("reasoning",),
    ),
    Case(
        "anthropic",
        "claude-fable-5",
        {"tools": [TOOL], "tool_choice": NamedTool("look_up")},
        {"tool_choice": {"type": "tool", "name": "look_up"}},
    ),
    Case(
        "anthropic",
        "claude-opus-5-5",
        {"tools": [TOOL], "tool_choice": NamedTool("look_up")},
        {"tool_choice": ABSENT},
        ("tool_choice",),
    ),
    Case("anthropic", "claude-sonnet-5-5", {"tools": [TOOL], "tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
    Case(
        "anthropic", "claude-haiku-5-5", {"tools": [TOOL], "tool_choice": "required"}, {"tool_choice": {"type": "any"}}
    ),
    Case(
        "anthropic", "claude-haiku-5-5", think("minimal"), {"output_config": {"effort": "low"}}, ("reasoning.effort",)
    ),
    # -- the newest version of Anthropic's API takes sampling for no model (airframe's business)
    Case("anthropic newest", "claude-haiku-4-5", {"temperature": 0.2}, {"temperature": ABSENT}, ("temperature",)),
    # -- a model that nobody knows is asked as it is
    Case("ollama", "qwen3:4b", {"temperature": 0.2}, {"model": "qwen3:4b"}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.model}-{'-'.join(case.sent)}")
async def test_each_family_is_asked_in_its_own_way(case: Case, ask: Callable[..., Any]) -> None:
    """Every wish goes over the wire as the model takes it, and what is lost of it is in the warnings."""
    asked = await ask(case.kind, case.model, **case.wish)
    assert {name: asked.body.get(name) for name in case.sent} == case.sent
    assert tuple(asked.subjects) == case.warned, asked.words


@pytest.mark.parametrize(
    ("model", "said", "sent"),
    [
        ("gpt-4o", "developer", "system"),
        ("gpt-4.1", "system", "system"),
        ("o3", "system", "developer"),
        ("o1", "developer", "developer"),
        ("o1-mini", "system", "user"),
        ("o1-mini", "developer", "user"),
        ("gpt-5", "system", "system"),
    ],
)
async def test_instructions_come_in_the_role_that_the_model_knows(
    model: str, said: Any, sent: str, ask: Callable[..., Any]
) -> None:
    """System or developer: the model is told in the role that it heeds, and nothing else of the messages changes."""
    asked = await ask("openai", model, messages=[Message(said, "Be brief."), Message("user", "Why?")])
    assert asked.body["messages"] == [{"role": sent, "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert asked.subjects == []
