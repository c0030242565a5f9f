"""Reading a settings file, YAML or TOML: its values, and the line of each. What they mean is the settings' business."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from airframe.redaction import redact
from avionics.errors import ConfigurationError

if TYPE_CHECKING:
    from yaml import SafeLoader
    from yaml.nodes import Node

__all__ = ["SUFFIXES", "ConfigFile", "KeyPath", "parse_yaml", "read_config_file"]

_MOST_VALUES, _DEEPEST = 100_000, 100

KeyPath: TypeAlias = tuple[str, ...]
"""The keys that lead to a value; the positions in a list are numbers as text."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """`values` is the top level of the file, `lines` says in which line each key stands, counted from 1."""

    values: dict[str, object]
    lines: Mapping[KeyPath, int] = field(default_factory=dict[KeyPath, int])


def read_config_file(path: Path) -> ConfigFile:
    """The content of a file.

    Raises `ConfigurationError` that names the file and, where there is one, the line, without repeating it: it may hold
    a key.
    """
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ConfigurationError(f"{path}: a settings file ends with {', '.join(SUFFIXES)}, not with {path.suffix!r}")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the settings file cannot be read: {error.strerror}; check AVIONICS_CONFIG or the argument config"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: the settings file is not UTF-8 text; save it as UTF-8") from None
    values, lines = parse(text, path)
    if values is None:
        return ConfigFile({})
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{path}: the top level must be a mapping of setting names to values, such as 'llm_provider: llamaserver', "
            f"but it is a {type(values).__name__}"
        )
    return ConfigFile({str(key): value for key, value in cast("dict[object, object]", values).items()}, lines)


def parse_yaml(text: str, path: Path) -> tuple[object, Mapping[KeyPath, int]]:
    """What a YAML text holds, which may also be JSON, and the line of each key. `path` is what errors call it.

    Raises `ConfigurationError`, which does not repeat the text.
    """
    import yaml  # only for those who have such a file

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None, {}
        places = list(_yaml_lines(node))
        values = _constructed(loader, node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else f"{path}"
        raise ConfigurationError(f"{place}: invalid YAML: {redact(error.problem or 'cannot be parsed')}") from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{path}: invalid YAML: it holds characters that YAML does not allow") from None
    except (RecursionError, ValueError):  # ten thousand brackets, a mapping inside itself, the 40th of May
        raise ConfigurationError(f"{path}: invalid YAML: it holds a value that cannot be read") from None
    lines: dict[KeyPath, int] = {}
    for keys, line in places:
        if keys in lines:
            raise ConfigurationError(
                f"{path}, line {line}: {'.'.join(keys)} stands in line {lines[keys]} already; keep one of them"
            )
        lines[keys] = line
    return values, lines


def _constructed(loader: SafeLoader, node: Node) -> object:
    return cast("Callable[[Node], object]", loader.construct_document)(node)  # untyped in the stubs


def _yaml_lines(root: Node) -> Iterator[tuple[KeyPath, int]]:
    from yaml.nodes import MappingNode, ScalarNode, SequenceNode

    waiting: list[tuple[KeyPath, Node]] = [((), root)]
    visits = 0
    while waiting:
        keys, node = waiting.pop()
        visits += 1
        if visits > _MOST_VALUES or len(keys) > _DEEPEST:  # anchors can make a few lines endless
            raise ValueError
        if isinstance(node, MappingNode):
            for key, value in node.value:
                if isinstance(key, ScalarNode):
                    inner = (*keys, str(key.value))
                    yield inner, key.start_mark.line + 1
                    waiting.append((inner, value))
        elif isinstance(node, SequenceNode):
            for position, item in enumerate(node.value):
                inner = (*keys, str(position))
                yield inner, item.start_mark.line + 1
                waiting.append((inner, item))


def _parse_toml(text: str, path: Path) -> tuple[object, Mapping[KeyPath, int]]:
    import tomllib  # likewise

    try:
        return tomllib.loads(text), dict(_toml_lines(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: invalid TOML: {error}") from None


_TOML_KEY = re.compile(r"""[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*'""")
_TOML_KEYS = rf"(?:{_TOML_KEY.pattern})(?:\s*\.\s*(?:{_TOML_KEY.pattern}))*"
_TOML_LINE = re.compile(rf"\s*(?:(\[\[?)\s*({_TOML_KEYS})\s*\]|({_TOML_KEYS})\s*=)")


def _toml_lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """The lines of keys and tables. The parser does not tell them, and what is inside a value is not looked at."""
    table: KeyPath = ()
    rows: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (found := _TOML_LINE.match(line)):
            continue
        bracket, header, key = found.groups()
        keys = tuple(part.strip("\"'") for part in _TOML_KEY.findall(header or key))
        if bracket:
            table = keys
            if bracket == "[[":
                rows[keys] = rows.get(keys, -1) + 1
                table = (*keys, str(rows[keys]))
            yield table, number
        else:
            yield (*table, *keys), number


_PARSERS: Mapping[str, Callable[[str, Path], tuple[object, Mapping[KeyPath, int]]]] = {
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".toml": _parse_toml,
}
SUFFIXES = tuple(_PARSERS)
"""How the name of a settings file ends."""
