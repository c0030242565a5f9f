"""A model's parameter rules, applied to a request: what is sent otherwise, and what is left out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from airframe.errors import InvalidRequestError
from airframe.types import InferenceRequest, InferenceWarning, Message, NamedTool, Role
from avionics.llm.catalog.model_rules import ModelRules
from avionics.llm.catalog.model_spec import ModelSpec
from avionics.llm.catalog.reasoning import conditions
from avionics.settings.model_specs import Condition, ParameterRule

__all__ = ["check_parameters", "fit_parameters"]

_EXTRA = "extra_params."

_TYPES: dict[str, tuple[type, ...]] = {"number": (int, float), "integer": (int,), "text": (str,), "boolean": (bool,)}
_SAID: dict[Condition, str] = {
    "reasoning": "while it reasons",
    "no_reasoning": "while it does not reason",
    "tools": "together with tools",
}


def fit_parameters(request: InferenceRequest, rules: ModelRules) -> tuple[InferenceRequest, Sequence[InferenceWarning]]:
    """The request as the model's rules want it, and what was left out or cut."""
    spec = rules.spec
    notes: list[InferenceWarning] = []
    present = conditions(request, spec)
    for role, wanted in rules.roles:
        request = _with_role(request, role, wanted)
    for name, rule in rules.changes:
        if (value := _value(request, name)) is not None:
            request = _fitted(request, name, value, rule, present, spec, notes)
        elif rule.default is not None:
            request = _with(request, name, rule.default)
    if spec.max_output is not None and (request.max_tokens or 0) > spec.max_output:
        note = (
            f"{spec.name} answers with at most {spec.max_output} tokens; max_tokens was cut from {request.max_tokens}"
        )
        notes.append(InferenceWarning("max_tokens", note))
        request = replace(request, max_tokens=spec.max_output)
    return request, notes


def check_parameters(request: InferenceRequest, rules: ModelRules) -> Iterator[InvalidRequestError]:
    """The values that the model would refuse: of the wrong type, or out of range."""
    spec = rules.spec
    for name, rule in rules.bounds:
        value = _value(request, name)
        if value is None:
            continue
        if rule.type and (
            not isinstance(value, _TYPES[rule.type]) or isinstance(value, bool) is not (rule.type == "boolean")
        ):
            yield InvalidRequestError(f"{name} must be a {rule.type} for {spec.name}, got {type(value).__name__}")
        elif isinstance(value, (int, float)) and not _lowest(rule) <= value <= _highest(rule):
            yield InvalidRequestError(f"{name} must be {_range(rule)} for {spec.name}, got {value}")


def _fitted(
    request: InferenceRequest,
    name: str,
    value: object,
    rule: ParameterRule,
    present: frozenset[Condition],
    spec: ModelSpec,
    notes: list[InferenceWarning],
) -> InferenceRequest:
    clashes: list[Condition] = [condition for condition in rule.forbidden_with if condition in present]
    if rule.forbidden_with and not clashes:
        return request
    if rule.drop or (clashes and not rule.choices) or (rule.choices and _word(value) not in rule.choices):
        why = rule.drop or " ".join([*_of(rule.choices, value), *(_SAID[clash] for clash in clashes)])
        text = f"{spec.name} does not take {name}{', ' if rule.drop else ' '}{why}; it was not sent"
        notes.append(InferenceWarning(name, text))
        return _with(request, name, None)
    if rule.rename:
        return _with(_with(request, name, None), f"{_EXTRA}{rule.rename}", value)
    return request


def _with_role(request: InferenceRequest, role: str, wanted: str) -> InferenceRequest:
    if not any(message.role == role for message in request.messages):
        return request
    speaker = cast("Role", wanted)  # Message checks it
    messages = [_spoken_by(message, speaker) if message.role == role else message for message in request.messages]
    return replace(request, messages=messages)


def _spoken_by(message: Message, role: Role) -> Message:
    return replace(message, role=role)


def _value(request: InferenceRequest, name: str) -> object:
    """What the request says; None for nothing, and for an empty list."""
    if name.startswith(_EXTRA):
        return request.extra_params.get(name.removeprefix(_EXTRA))
    value: object = getattr(request, name)
    return None if value is None or value in ((), [], {}) else value


def _with(request: InferenceRequest, name: str, value: object) -> InferenceRequest:
    if not name.startswith(_EXTRA):
        change: dict[str, Any] = {name: () if value is None and name == "stop" else value}
        return replace(request, **change)
    key = name.removeprefix(_EXTRA)
    extra = {other: old for other, old in request.extra_params.items() if other != key}
    return replace(request, extra_params=extra if value is None else {**extra, key: value})


def _word(value: object) -> str:
    return "named" if isinstance(value, NamedTool) else str(value)


def _of(choices: Sequence[str], value: object) -> Iterator[str]:
    if choices:
        yield f"{_word(value)!r} (but {', '.join(choices)})"


def _lowest(rule: ParameterRule) -> float:
    return float("-inf") if rule.minimum is None else rule.minimum


def _highest(rule: ParameterRule) -> float:
    return float("inf") if rule.maximum is None else rule.maximum


def _range(rule: ParameterRule) -> str:
    if rule.minimum is None:
        return f"at most {rule.maximum:g}"
    return f"at least {rule.minimum:g}" if rule.maximum is None else f"between {rule.minimum:g} and {rule.maximum:g}"
