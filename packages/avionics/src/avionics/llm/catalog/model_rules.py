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
        values: fields of the request, and extra parameters; efforts are the business of `reasoning`.
    """

    spec: ModelSpec
    refusals: tuple[tuple[str, str], ...]
    roles: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, ParameterRule], ...]

    @classmethod
    def of(cls, spec: ModelSpec, kind: str) -> Self:
        """The rules of `spec` that hold over backends of that kind."""
        rules = [(name, rule) for rule in spec.rules(kind) for name in rule.names]
        return cls(
            spec=spec,
            refusals=tuple((name, rule.drop) for name, rule in rules if name in _REFUSABLE and rule.drop),
            roles=tuple(
                (name.removeprefix(_ROLE), rule.rename)
                for name, rule in rules
                if name.startswith(_ROLE) and rule.rename
            ),
            values=tuple(
                (name, rule)
                for name, rule in rules
                if name not in {*_REFUSABLE, _EFFORT} and not name.startswith(_ROLE)
            ),
        )
