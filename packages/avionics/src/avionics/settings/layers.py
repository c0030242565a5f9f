"""Where settings come from, in the order in which they win: each place is a layer, all of the same shape.

    arguments > environment > dotenv file > secrets directory > settings file > defaults

Names are short or lead through the sections; in a layer, all values stand in the sections. Whoever made a layer also
knows the place of each value in it: a variable, a file and its line.
"""

from __future__ import annotations

import json
import os
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import platformdirs

from avionics.config_file import SUFFIXES, KeyPath, read_config_file
from avionics.errors import ConfigurationError
from avionics.settings.flat_names import FLAT_NAMES
from avionics.settings.interpolation import expand, fetch_keys

__all__ = ["PREFIX", "Layer", "merged", "place_of", "read_layers"]

PREFIX = "AVIONICS_"
"""What the names of variables begin with."""

_NESTING = "__"
_FILE_NAME = "avionics"


@dataclass(frozen=True, slots=True)
class Layer:
    """`values` by section; `where` says in words where the value at a path stands."""

    values: Mapping[str, object]
    where: Callable[[KeyPath], str]


def read_layers(given: Mapping[str, object]) -> tuple[Layer, ...]:
    """All layers, the one that wins first. `given` are the arguments, among them `config`, `dotenv` and `secrets_dir`.

    Raises `ConfigurationError` for a file that cannot be read, and for a variable that a file refers to.
    """
    layers = [_layer(given, lambda path: f"argument {'.'.join(path)}"), _variables(os.environ)]
    variables: Mapping[str, str] = os.environ
    if dotenv := _stated(layers, "dotenv"):
        in_file = _read_dotenv(Path(dotenv))
        layers.append(_variables(in_file, f"{dotenv}: "))
        variables = ChainMap(dict(os.environ), in_file)
    if folder := _stated(layers, "secrets_dir"):
        layers.append(_variables(_read_secrets(Path(folder)), f"{folder}{os.sep}", upper=False))
    stated = _stated(layers, "config")
    if path := Path(stated) if stated else _find_file():
        layers.append(_file(path, variables))
        layers.append(Layer({"config": str(path)}, lambda _: "found"))
    return tuple(replace(layer, values=fetch_keys(layer.values, variables)) for layer in layers)


def merged(layers: Iterable[Layer]) -> dict[str, Any]:
    """The values of all layers: of two for the same setting, the one of the layer that comes first."""
    values: dict[str, object] = {}
    for layer in layers:
        values = _over(values, layer.values)
    return values


def place_of(path: KeyPath, layers: Iterable[Layer]) -> str | None:
    """Where the value at `path` comes from; None when no layer has it."""
    for layer in layers:
        value: object = layer.values
        for key in path:
            value = _item(value, key)
            if value is None:
                break
        else:
            return layer.where(path)
    return None


def _item(value: object, key: str) -> object:
    match value:
        case Mapping():
            entries = cast("Mapping[str, object]", value)
            return entries.get(key, entries if key == "0" else None)  # alone where a list is expected: its only item
        case list():
            items = cast("list[object]", value)
            return items[int(key)] if key.isdigit() and int(key) < len(items) else None
        case _:
            return getattr(value, key, None)  # an argument may be a section


def _over(first: Mapping[str, object], second: Mapping[str, object]) -> dict[str, object]:
    both = {**second, **first}
    for key in first.keys() & second.keys():
        one, other = first[key], second[key]
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            both[key] = _over(cast("Mapping[str, object]", one), cast("Mapping[str, object]", other))
    return both


def _layer(values: Mapping[str, object], where: Callable[[KeyPath], str]) -> Layer:
    """Puts short names in their places."""
    sections = dict(values)
    short_at: dict[KeyPath, KeyPath] = {}
    for name in [name for name in sections if name in FLAT_NAMES]:
        path = FLAT_NAMES[name]
        _put(sections, path, sections.pop(name), f"{where((name,))} is short for {'.'.join(path)}")
        short_at[path] = (name,)
    return Layer(sections, lambda path: where(short_at.get(path, path)))


def _put(values: dict[str, object], path: KeyPath, value: object, who: str) -> None:
    """Sets the value at `path`; `who` says so where it cannot be set."""
    *sections, last = path
    for key in sections:
        inner = values.get(key, {})
        if not isinstance(inner, Mapping):
            raise ConfigurationError(f"{who}, but {key} has a value of its own already; give only one of them")
        values[key] = inner = dict(cast("Mapping[str, object]", inner))
        values = inner
    if values.get(last) is not None:
        raise ConfigurationError(f"{who}, which is given as well; give only one of them")
    values[last] = value


def _stated(layers: Iterable[Layer], name: str) -> str | None:
    return next((str(value) for layer in layers if (value := layer.values.get(name))), None)


def _variables(variables: Mapping[str, str], origin: str = "", *, upper: bool = True) -> Layer:
    """A variable's name leads through the sections: `AVIONICS_PROVIDERS__OPENAI__MODEL`. An empty one says nothing."""
    values: dict[str, object] = {}
    names: dict[KeyPath, str] = {}
    for name in sorted(variables, key=lambda name: (name.count(_NESTING), name)):
        if name.upper().startswith(PREFIX) and (text := variables[name].strip()):
            path = tuple(name[len(PREFIX) :].lower().split(_NESTING))
            _put(values, path, _decoded(text), f"{origin}{name} leads to {'.'.join(path)}")
            names[path] = name

    def where(path: KeyPath) -> str:
        """A variable may also hold a whole section as JSON."""
        known = (names.get(path[:length]) for length in range(len(path), 0, -1))
        name = next(filter(None, known), f"{PREFIX}{_NESTING.join(path)}")
        return origin + (name.upper() if upper else name)

    return _layer(values, where)


def _decoded(text: str) -> object:
    """Lists and mappings are JSON; everything else is text, of which the field knows the type."""
    if text[0] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            pass
    return text


def _read_dotenv(path: Path) -> dict[str, str]:
    from pydantic_settings import BaseSettings, DotEnvSettingsSource

    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no such dotenv file; check AVIONICS_DOTENV or the argument dotenv")
    try:
        source = DotEnvSettingsSource(BaseSettings, env_file=path, env_file_encoding="utf-8", case_sensitive=True)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: the dotenv file cannot be read: {type(error).__name__}") from None
    return {name: value for name, value in source.env_vars.items() if value is not None}


def _read_secrets(folder: Path) -> dict[str, str]:
    """A file for each secret, as Docker and Kubernetes mount them; its name is that of a variable, in any case."""
    try:
        files = [entry for entry in folder.iterdir() if entry.name.upper().startswith(PREFIX) and entry.is_file()]
        return {entry.name: entry.read_text(encoding="utf-8").strip() for entry in files}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"{folder}: the secrets directory cannot be read: {reason}; "
            "check AVIONICS_SECRETS_DIR or the argument secrets_dir"
        ) from None


def _file(path: Path, variables: Mapping[str, str]) -> Layer:
    file = read_config_file(path)

    def where(keys: KeyPath) -> str:
        """A value inside another one, such as `{a: 1}` in one line of TOML, stands where that one does."""
        lines = (file.lines.get(keys[:length]) for length in range(len(keys), 0, -1))
        line = next(filter(None, lines), None)
        return f"{path}, line {line}" if line else f"{path}"

    for name in ("config", "dotenv", "secrets_dir"):
        if name in file.values:
            raise ConfigurationError(
                f"{name} ({where((name,))}): a file cannot say where settings are read from; "
                f"set {PREFIX}{name.upper()}, or give it as an argument"
            )
    return _layer(cast("Mapping[str, object]", expand(file.values, variables, where)), where)


def _find_file() -> Path | None:
    """`avionics.yaml` or `.toml`, in the working directory, else in the user's configuration directory."""
    for folder in (Path(), platformdirs.user_config_path(_FILE_NAME)):
        found = [path for suffix in SUFFIXES if (path := folder / f"{_FILE_NAME}{suffix}").is_file()]
        if len(found) > 1:
            raise ConfigurationError(f"{' and '.join(map(str, found))} are both there; keep one of them")
        if found:
            return found[0]
    return None
