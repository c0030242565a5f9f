"""The rules of a model, sorted by what they are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from avionics.llm.catalog.model_spec import ModelSpec
from avionics.settings.model_specs import ParameterRule

__all__ = ["ModelRules"]

_ROLE = "role."
_REFUSABLE = frozenset({"messages", "tools"})
_EFFORT = "reasoning.effort"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """What holds for a model where it is asked over one kind of backend, rule by rule and name by name.

    Attributes:
        spec: all that is known of the model.
        refusals: of `messages` and `tools`, what is not taken at all, and why.
        roles: roles, and those that speak in their place.
        changes: fields of the request and extra parameters of which something may be changed or left out; efforts are
            the business of `reasoning`.
        bounds: those whose values have to be of a type, or within a range.
    """

    spec: ModelSpec
    refusals: tuple[tuple[str, str], ...]
    roles: tuple[tuple[str, str], ...]
    changes: tuple[tuple[str, ParameterRule], ...]
    bounds: tuple[tuple[str, ParameterRule], ...]

    @classmethod
    def of(cls, spec: ModelSpec, kind: str) -> Self:
        """The rules of `spec` that hold over backends of that kind."""
        rules = [(name, rule) for rule in spec.rules(kind) for name in rule.names]
        values = [
            (name, rule) for name, rule in rules if name not in {*_REFUSABLE, _EFFORT} and not name.startswith(_ROLE)
        ]
        return cls(
            spec=spec,
            refusals=tuple((name, rule.drop) for name, rule in rules if name in _REFUSABLE and rule.drop),
            roles=tuple(
                (name.removeprefix(_ROLE), rule.rename)
                for name, rule in rules
                if name.startswith(_ROLE) and rule.rename
            ),
            changes=tuple((name, rule) for name, rule in values if _changes(rule)),
            bounds=tuple((name, rule) for name, rule in values if _bounds(rule)),
        )


def _changes(rule: ParameterRule) -> bool:
    return bool(rule.default is not None or rule.rename or rule.drop or rule.choices or rule.forbidden_with)


def _bounds(rule: ParameterRule) -> bool:
    return rule.type is not None or rule.minimum is not None or rule.maximum is not None
