"""Which settings hold and where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import BaseModel, SecretStr

from avionics.config_file import KeyPath
from avionics.settings import Settings

__all__ = ["SettingInForce", "settings_in_force"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingInForce:
    """One setting: its value as text, without any secret, and its source in words; None for a default."""

    name: str
    value: str
    source: str | None


def settings_in_force(settings: Settings) -> list[SettingInForce]:
    """The settings that say something, in the order in which they are declared."""
    whole = settings.model_copy(update={"agents": {**settings.agents, "default": settings.agent()}})
    return [
        SettingInForce(name=".".join(path), value=_shown(value), source=settings.origin(path))
        for path, value in _leaves(whole)
        if value is not None
    ]


def _leaves(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    match value:
        case BaseModel():
            fields = type(value).model_fields
            for name, inner in value:
                is_default = name in fields and inner == fields[name].default
                yield from _leaves(_opened(inner) if is_default else inner, (*path, name))
        case Mapping():
            for key, inner in cast("Mapping[object, object]", value).items():
                yield from _leaves(inner, (*path, str(key)))
        case tuple() if any(isinstance(item, (BaseModel, tuple)) for item in cast("tuple[object, ...]", value)):
            for position, inner in enumerate(cast("tuple[object, ...]", value)):
                yield from _leaves(inner, (*path, str(position)))
        case _:
            yield path, value


def _opened(value: object) -> object:
    """A default stands in the documentation: it is no secret, though what is put in its place may be one."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _shown(value: object) -> str:
    match value:
        case SecretStr():
            return "set, not shown"
        case bool():
            return "true" if value else "false"
        case tuple():
            return ", ".join(map(str, cast("tuple[object, ...]", value))) or "none"
        case _:
            return str(value)
