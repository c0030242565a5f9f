"""Names of a package that are loaded when somebody first asks for one (PEP 562).

A program that speaks to one kind of backend then pays for one adapter and one wire format, and one that only looks at
the vocabulary pays for no HTTP client.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

__all__ = ["loader"]


def loader(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """The `__getattr__` of `package`, whose names are in the modules `homes`. Its public submodules are names too."""
    found_in = {name: home for home, names in homes.items() for name in names}

    def load(name: str) -> object:
        home = found_in.get(name)
        value = _submodule(package, name) if home is None else getattr(import_module(home), name)
        setattr(sys.modules[package], name, value)
        return value

    return load


def _submodule(package: str, name: str) -> object:
    path = f"{package}.{name}"
    try:
        if not name.startswith("_"):
            return import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
