"""Values that stand elsewhere: `${VAR}` and `${VAR:-default}` inside a file, and keys in variables that are named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import cast

from avionics.config_file import KeyPath
from avionics.errors import ConfigurationError

__all__ = ["expand", "fetch_keys"]

_REFERENCE = re.compile(r"(\$)?\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")


def expand(value: object, variables: Mapping[str, str], where: Callable[[KeyPath], str], path: KeyPath = ()) -> object:
    """`value` with the references in its texts replaced. `$${` is a plain `${`.

    `where` says where a path stands. Raises `ConfigurationError` for a variable that is not set and has no default.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: _replacement(found, variables, lambda: where(path)), value)
    return _each(value, lambda key, item: expand(item, variables, where, (*path, key)))


def fetch_keys(values: Mapping[str, object], variables: Mapping[str, str]) -> Mapping[str, object]:
    """`values` with an `api_key` wherever an `api_key_env` names a variable that is set and no key stands beside it."""

    def fetch(value: object) -> object:
        return fetch_keys(cast("Mapping[str, object]", value), variables) if isinstance(value, Mapping) else value

    fetched = {
        name: [fetch(item) for item in cast("list[object]", value)] if isinstance(value, list) else fetch(value)
        for name, value in values.items()
    }
    name = values.get("api_key_env")
    if isinstance(name, str) and values.get("api_key") is None and (key := variables.get(name)):
        fetched["api_key"] = key
    return fetched


def _each(value: object, change: Callable[[str, object], object]) -> object:
    match value:
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {str(key): change(str(key), item) for key, item in items}
        case list():
            return [change(str(position), item) for position, item in enumerate(cast("list[object]", value))]
        case _:
            return value


def _replacement(found: re.Match[str], variables: Mapping[str, str], where: Callable[[], str]) -> str:
    escape, name, default = found.groups()
    if escape:
        return found.group()[1:]
    if name is None:
        raise ConfigurationError(f"{where()}: a '${{' begins what is no ${{VAR}}; write '$${{' for the characters")
    if value := variables.get(name):
        return value
    if default is None:
        raise ConfigurationError(f"{where()}: the variable {name} is not set; set it, or write ${{{name}:-default}}")
    return default
