"""Names of a package that are loaded when somebody first asks for one (PEP 562).

A program then pays for the parts that it uses: one provider, and no nodes, middleware or batches that it does not have.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

__all__ = ["loader"]


def loader(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """The `__getattr__` of `package`, whose names are in the modules `homes`."""
    found_in = {name: home for home, names in homes.items() for name in names}

    def load(name: str) -> object:
        if name not in found_in:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(found_in[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
