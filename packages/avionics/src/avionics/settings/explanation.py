"""What is wrong with settings, in words: each mistake with its field, its place, its shape and the remedy.

No value is ever repeated: any may be a key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import cast, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from avionics.settings.field_texts import field_texts
from avionics.settings.flat_names import FLAT_NAMES
from avionics.settings.layers import Layer, place_of
from avionics.settings.providers import KINDS, TAGS

__all__ = ["explained", "shape_of"]

_FOREWORDS = ("Value error, ", "Assertion failed, ", "base_url ", "api_key ")


def explained(error: ValidationError, settings: type[BaseModel], layers: Sequence[Layer]) -> str:
    """A line for each mistake."""
    details = error.errors(include_url=False, include_context=False)
    return "\n".join(dict.fromkeys(_line(detail, settings, layers) for detail in details))


def shape_of(value: object) -> str:
    """What kind of thing a value is, without saying it."""
    match value:
        case None:
            return "nothing"
        case SecretStr() | str():
            return f"a text of {len(value)} characters"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list() | tuple():
            return f"a list of {len(cast('Sequence[object]', value))}"
        case Mapping():
            return "a mapping"
        case _:
            return f"a value of type {type(value).__name__}"


def _line(detail: ErrorDetails, settings: type[BaseModel], layers: Sequence[Layer]) -> str:
    names, meaning, path = _descend(settings, detail["loc"])
    place = next(filter(None, (place_of(path[:length], layers) for length in range(len(path), 0, -1))), None)
    head = ".".join(path) + (f" ({place})" if place else "")
    match detail["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{head}: there is no such setting; {_suggestion(path, names)}"
        case "missing" if path[-1] == "kind":
            return f"{head}: the kind of the provider is missing; give one of {', '.join(sorted(KINDS))}"
        case _:
            reason = detail["msg"]
            for foreword in _FOREWORDS:
                reason = reason.removeprefix(foreword)
            reason = reason[:1].lower() + reason[1:]
            return f"{head}: {reason}; got {shape_of(detail['input'])}" + (f". It means: {meaning}" if meaning else "")


def _suggestion(path: Sequence[str], names: Sequence[str]) -> str:
    known = [*names, *(FLAT_NAMES if len(path) == 1 else ())]
    alike = difflib.get_close_matches(path[-1], known, n=1)
    return f"did you mean {alike[0]!r}?" if alike else f"known are {', '.join(sorted(known))}"


def _descend(settings: type[BaseModel], location: Sequence[int | str]) -> tuple[Sequence[str], str, tuple[str, ...]]:
    """Follows a location through the types: the names that are known where it ends, what the field there means, and the
    path as a user would write it, without pydantic's names for the members of a union.
    """
    names: Sequence[str] = ()
    meaning, path = "", list[str]()
    sections: list[type[object]] = [settings]
    mapping = False
    for step in map(str, location):
        names = list(_fields(sections[0])) if len(sections) == 1 else names
        if mapping or step.isdigit():  # a key of the user's own
            mapping = False
            path.append(step)
        elif len(sections) > 1 and step in TAGS:
            sections = [TAGS[step]]
        elif len(sections) == 1:
            annotation, meaning = _fields(sections[0]).get(step, (None, ""))
            sections = list(dict.fromkeys(_sections_in(annotation)))
            mapping = _is_mapping(annotation)
            path.append(step)
    return names, " ".join(meaning.split()), tuple(path)


def _fields(section: type[object]) -> Mapping[str, tuple[object, str]]:
    if issubclass(section, BaseModel):
        texts = field_texts(section)
        return {name: (field.annotation, texts.get(name, "")) for name, field in section.model_fields.items()}
    return dict.fromkeys(getattr(section, "__dataclass_fields__", ()), (None, ""))


def _sections_in(annotation: object) -> Iterator[type[object]]:
    if isinstance(annotation, type):
        cls = cast("type[object]", annotation)
        if issubclass(cls, BaseModel) or hasattr(cls, "__dataclass_fields__"):
            yield cls
    for argument in get_args(annotation):
        yield from _sections_in(argument)


def _is_mapping(annotation: object) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)
