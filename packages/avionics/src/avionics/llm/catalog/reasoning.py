"""How a wish for reasoning is said to a model: by an effort it knows, by a budget, or by letting it decide. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from airframe.endpoints import BackendKind
from airframe.errors import InvalidRequestError
from airframe.types import InferenceRequest, InferenceWarning, ReasoningOptions
from avionics.llm.catalog.model_spec import ModelSpec
from avionics.settings.model_specs import Condition, ReasoningRule

__all__ = ["EFFORTS", "conditions", "fit_reasoning"]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""The words for efforts, weakest first, of all providers together."""

_BUDGETS: Mapping[str, int] = MappingProxyType(
    {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 65_536}
)
"""Tokens that stand for an effort where only the one or the other is known: our own convention."""

_SMALLEST_BUDGET = 1024  # platform.claude.com, extended thinking (read 2026-11-20)

_EFFORT_KINDS = frozenset({BackendKind.OPENAI, BackendKind.OPENAI_RESPONSES, BackendKind.AZURE})
_UNTOUCHED_KINDS = frozenset({BackendKind.OPENROUTER})
"""OpenRouter takes every form and says it to the model's provider itself."""


def conditions(request: InferenceRequest, spec: ModelSpec) -> frozenset[Condition]:
    """What a request asks for, as far as rules ask for it."""
    thinks = spec.reasoning is not None and _is_on(request.reasoning, spec.reasoning)
    reasoning: Condition = "reasoning" if thinks else "no_reasoning"
    return frozenset({reasoning, "tools"} if request.tools else {reasoning})


def fit_reasoning(
    request: InferenceRequest, spec: ModelSpec, kind: str
) -> tuple[InferenceRequest, Sequence[InferenceWarning]]:
    """The request with reasoning asked for as the model takes it, and what of the wish was lost.

    Raises `InvalidRequestError` for what no reading of the wish can mend.
    """
    wish, rule = request.reasoning, spec.reasoning
    if wish is not None and spec.supports("reasoning") is False:
        lost = [_note("reasoning", f"{spec.name} does not reason; it was not sent")] if _asks(wish) else []
        return replace(request, reasoning=None), lost
    if rule is None or kind in _UNTOUCHED_KINDS:
        return request, ()
    if wish and wish.effort is not None and wish.effort not in {*EFFORTS, *rule.efforts}:
        raise InvalidRequestError(
            f"reasoning.effort must be one of {', '.join(rule.efforts or EFFORTS)} for {spec.name}, got {wish.effort!r}"
        )
    notes: list[InferenceWarning] = []
    if kind == BackendKind.ANTHROPIC:
        fitted = _as_thinking(request, spec, rule, notes)
    elif rule.efforts:
        fitted = _as_effort(request, spec, rule, kind, notes)
    elif wish is not None and kind in _EFFORT_KINDS:  # it reasons, and nobody can say how much
        fitted = None
        notes.append(_note("reasoning", f"how much {spec.name} reasons cannot be set; it was not sent"))
    else:
        fitted = wish
    return (request if fitted == wish else replace(request, reasoning=fitted)), notes


def _asks(wish: ReasoningOptions) -> bool:
    return wish.enabled is True or wish.effort not in {None, "none"} or wish.budget_tokens is not None


def _is_on(wish: ReasoningOptions | None, rule: ReasoningRule) -> bool:
    if wish is None or (wish.enabled is None and wish.effort is None and wish.budget_tokens is None):
        return rule.default != "none"
    return wish.enabled is not False and _asks(wish)


# -- models that take an effort


def _as_effort(
    request: InferenceRequest, spec: ModelSpec, rule: ReasoningRule, kind: str, notes: list[InferenceWarning]
) -> ReasoningOptions | None:
    wish = request.reasoning or ReasoningOptions()
    asked = _asked_effort(wish, rule)
    effort = asked or rule.default
    allowed = _allowed_efforts(request, spec, rule, kind)
    if effort != "on" and effort not in allowed:
        effort = asked = _nearest(effort, allowed)
        notes.append(_lost_effort(request, wish, spec, rule, effort))
    elif wish.budget_tokens is not None:
        notes.append(_note("reasoning.budget_tokens", f"{spec.name} takes no budget; effort {effort} was sent"))
    fitted = ReasoningOptions(effort=asked, summary=wish.summary)
    return None if fitted == ReasoningOptions() else fitted


def _asked_effort(wish: ReasoningOptions, rule: ReasoningRule) -> str | None:
    """The effort that a wish comes to; None leaves it to the model."""
    if wish.enabled is False:
        return "none"
    if wish.effort is not None:
        return wish.effort
    if wish.budget_tokens is not None:
        return _effort_of(wish.budget_tokens)
    return "medium" if wish.enabled and rule.default == "none" else None


def _allowed_efforts(request: InferenceRequest, spec: ModelSpec, rule: ReasoningRule, kind: str) -> Sequence[str]:
    present = conditions(request, spec)
    allowed = list(rule.efforts)
    for limit in spec.rules(kind):
        binds = not limit.forbidden_with or present.intersection(limit.forbidden_with)
        if "reasoning.effort" in limit.names and limit.choices and binds:
            allowed = [effort for effort in allowed if effort in limit.choices]
    return allowed or rule.efforts


def _lost_effort(
    request: InferenceRequest, wish: ReasoningOptions, spec: ModelSpec, rule: ReasoningRule, effort: str
) -> InferenceWarning:
    if wish == ReasoningOptions():
        return _note("reasoning.effort", f"{spec.name} takes tools here only with effort {effort}, which was sent")
    asked = _asked_effort(wish, rule)
    if asked == "none":
        return _note("reasoning", f"{spec.name} cannot stop reasoning; effort {effort} was sent")
    with_tools = " with tools" if request.tools and asked in rule.efforts else ""
    return _note("reasoning.effort", f"{spec.name} does not take effort {asked}{with_tools}; {effort} was sent")


# -- models that are asked to think (Anthropic's Messages)


def _as_thinking(
    request: InferenceRequest, spec: ModelSpec, rule: ReasoningRule, notes: list[InferenceWarning]
) -> ReasoningOptions | None:
    wish = request.reasoning
    if wish is None:
        return None
    if not _is_on(wish, rule):
        return _not_thinking(request, wish, spec, rule, notes)
    if not _asks(wish):
        return wish
    if "budget" in rule.modes and (wish.budget_tokens is not None or "adaptive" not in rule.modes):
        return _within_budget(request, wish, spec, rule, notes)
    asked = wish.effort
    if wish.budget_tokens is not None:
        asked = asked or _effort_of(wish.budget_tokens)
        notes.append(_note("reasoning.budget_tokens", f"{spec.name} takes no budget; effort {asked} was sent"))
    effort = _known_effort(asked, spec, rule, notes)
    return ReasoningOptions(effort=effort, summary=wish.summary, enabled=True)


def _not_thinking(
    request: InferenceRequest,
    wish: ReasoningOptions,
    spec: ModelSpec,
    rule: ReasoningRule,
    notes: list[InferenceWarning],
) -> ReasoningOptions | None:
    effort = None if wish.effort == "none" else wish.effort
    if "disabled" in rule.modes:
        if effort is not None and rule.efforts:
            allowed = _allowed_efforts(request, spec, rule, BackendKind.ANTHROPIC)
            if effort not in allowed:
                asked, effort = effort, _nearest(effort, allowed)
                text = f"{spec.name} takes effort {asked} only while it thinks; {effort} was sent"
                notes.append(_note("reasoning.effort", text))
        return ReasoningOptions(effort=effort if rule.efforts else None, enabled=False)
    weakest = rule.efforts[0] if rule.efforts else None
    notes.append(_note("reasoning", f"{spec.name} cannot stop reasoning; effort {weakest} was sent"))
    return ReasoningOptions(effort=weakest, summary=wish.summary)


def _within_budget(
    request: InferenceRequest,
    wish: ReasoningOptions,
    spec: ModelSpec,
    rule: ReasoningRule,
    notes: list[InferenceWarning],
) -> ReasoningOptions | None:
    longest, budget = request.max_tokens, wish.budget_tokens
    if budget is not None and longest is not None and budget >= longest:
        raise InvalidRequestError(f"reasoning.budget_tokens ({budget}) must be smaller than max_tokens ({longest})")
    if budget is None:
        budget = _BUDGETS[wish.effort or "medium"] if wish.effort in {None, *_BUDGETS} else _BUDGETS["medium"]
        budget = budget if longest is None else min(budget, longest // 2)
        if budget < _SMALLEST_BUDGET:
            notes.append(
                _note("reasoning", f"{spec.name} needs max_tokens of {2 * _SMALLEST_BUDGET} to think; it was not sent")
            )
            return None
    elif budget < _SMALLEST_BUDGET:
        raise InvalidRequestError(f"reasoning.budget_tokens must be at least {_SMALLEST_BUDGET}, got {budget}")
    effort = _known_effort(wish.effort, spec, rule, notes) if rule.efforts else None
    return ReasoningOptions(effort=effort, budget_tokens=budget, summary=wish.summary, enabled=None)


def _known_effort(asked: str | None, spec: ModelSpec, rule: ReasoningRule, notes: list[InferenceWarning]) -> str | None:
    if asked is None or asked in rule.efforts or not rule.efforts:
        return asked if rule.efforts else None
    effort = _nearest(asked, rule.efforts)
    notes.append(_note("reasoning.effort", f"{spec.name} does not take effort {asked}; {effort} was sent"))
    return effort


# -- words and numbers


def _effort_of(budget: int) -> str:
    return next((effort for effort, tokens in _BUDGETS.items() if budget <= tokens), "max")


def _nearest(effort: str, allowed: Sequence[str]) -> str:
    """The allowed effort that is least far away, the weaker one of two."""
    return min(allowed, key=lambda other: (abs(_rank(other) - _rank(effort)), _rank(other)))


def _rank(effort: str) -> int:
    return EFFORTS.index(effort) if effort in EFFORTS else len(EFFORTS)


def _note(subject: str, message: str) -> InferenceWarning:
    return InferenceWarning(subject, message)
