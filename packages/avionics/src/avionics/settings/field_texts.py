"""What the fields of a section mean: the texts that stand below them in its source.

They are read when somebody asks. pydantic can collect them itself, but does so when a class is made, which would take
half of the time that the settings need to be imported.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise

from pydantic import BaseModel

__all__ = ["field_texts"]


@cache
def field_texts(section: type[BaseModel]) -> Mapping[str, str]:
    """By the name of the field, those of inherited fields included; a field that says nothing is missing."""
    texts: dict[str, str] = {}
    for cls in reversed(section.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel:
            texts |= _stated(cls)
    return {name: text for name in section.model_fields if (text := texts.get(name))}


def _stated(cls: type[BaseModel]) -> Iterator[tuple[str, str]]:
    try:
        source = inspect.getsource(cls)
    except OSError:  # made up while running
        return
    (definition,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(definition, ast.ClassDef)
    for field, below in pairwise(definition.body):
        match field, below:
            case (ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text)))):
                yield name, inspect.cleandoc(text)
            case _:
                pass
