"""YAML and JSON files in which every value knows its line, so that an error can name it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

__all__ = ["Document", "Field", "read_document"]

Field: TypeAlias = tuple[str | int, ...]
"""Where a value stands: `("steps", 2, "usage")`."""

_BLANKS = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Document:
    """A value in a file: its content, and where it stands."""

    value: object
    field: Field
    source: _Source

    def error(self, message: str) -> ValueError:
        """An error about this value, that begins with file, line and field."""
        field = self.name
        text = f"{field}: {message}" if field else message
        return self.source.error(f"{self.source.path}, line {self.source.line(self.field)}: {text}")

    @property
    def name(self) -> str:
        """The field as one writes it: `steps[2].usage`."""
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.field)
        return name.removeprefix(".")

    @property
    def kind(self) -> str:
        """The type of the value, in words."""
        return _KINDS.get(type(self.value), type(self.value).__name__)

    @property
    def shown(self) -> str:
        """The value, as far as it fits into a message."""
        return repr(self.value)[:60] if isinstance(self.value, (str, int, float, bool)) else self.kind

    def members(self) -> Mapping[str, Document]:
        """The members of an object."""
        members = cast("dict[object, object]", self.value)
        for name in members:
            if not isinstance(name, str):
                raise self.error(f"the name of a member must be a text, got {name!r}")
        return {name: self._inside(name, value) for name, value in cast("dict[str, object]", members).items()}

    def items(self) -> Sequence[Document]:
        """The items of a list."""
        return [self._inside(place, item) for place, item in enumerate(cast("list[object]", self.value))]

    def _inside(self, step: str | int, value: object) -> Document:
        return Document(value, (*self.field, step), self.source)


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    error: Callable[[str], ValueError]
    line: Callable[[Field], int]


_KINDS: Mapping[type[object], str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "nothing",
}


def read_document(path: Path, error: Callable[[str], ValueError]) -> Document:
    """Read a file; its ending says whether it is YAML or JSON. What is wrong with it is raised as an `error`."""
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise error(f"{path}: such a file ends with {', '.join(_READERS)}, not with {path.suffix!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as failure:
        raise error(f"{path}: the file cannot be read: {failure.strerror}") from None
    except UnicodeDecodeError:
        raise error(f"{path}: the file is not UTF-8 text; save it as UTF-8") from None
    value, line = read(path, text, error)
    return Document(value, (), _Source(path, error, line))


def _read_json(path: Path, text: str, error: Callable[[str], ValueError]) -> tuple[object, Callable[[Field], int]]:
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as failure:
        raise error(f"{path}, line {failure.lineno}, column {failure.colno}: invalid JSON: {failure.msg}") from None
    except RecursionError:
        raise error(f"{path}: invalid JSON: it is nested too deeply") from None

    def line(field: Field) -> int:
        return text.count("\n", 0, _offset(text, field)) + 1

    return value, line


def _offset(text: str, field: Field) -> int:
    """Where in a valid JSON text the value of `field` begins."""
    position = _after_blanks(text, 0)
    for step in field:
        position = next(start for name, start in _inside(text, position) if name == step)
    return position


def _inside(text: str, position: int) -> Iterator[tuple[str | int, int]]:
    """Names, or numbers, and beginnings of the values in the object or list that begins at `position`."""
    decoder = json.JSONDecoder()
    is_object = text[position] == "{"
    position = _after_blanks(text, position + 1)
    number = 0
    while text[position] not in "}]":
        name: str | int = number
        if is_object:
            name, position = decoder.raw_decode(text, position)
            position = _after_blanks(text, _after_blanks(text, position) + 1)  # the colon
        yield name, position
        _, position = decoder.raw_decode(text, position)
        position = _after_blanks(text, position)
        if text[position] == ",":
            position = _after_blanks(text, position + 1)
        number += 1


def _after_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


def _read_yaml(path: Path, text: str, error: Callable[[str], ValueError]) -> tuple[object, Callable[[Field], int]]:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{path} is YAML, which needs pyyaml: pip install 'jeeves-airframe[testing]'; or write it as JSON",
            name="yaml",
        ) from None
    try:
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        value: object = yaml.safe_load(text)
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise error(f"{path}{place}: invalid YAML: {failure.problem or 'it cannot be read'}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise error(f"{path}: invalid YAML: it cannot be read") from None

    def line(field: Field) -> int:
        node = root
        for step in field:
            if isinstance(step, int):
                node = node.value[step]
            else:
                # A merged member (`<<`) stands elsewhere; then the object is named.
                node = next((member for name, member in node.value if name.value == step), node)
        return int(node.start_mark.line) + 1 if node else 1

    return value, line


_READERS: Mapping[str, Callable[[Path, str, Callable[[str], ValueError]], tuple[object, Callable[[Field], int]]]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".json": _read_json,
}
