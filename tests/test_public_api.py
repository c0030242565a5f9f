"""Public is what `__all__` says, in every module without a leading underscore."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import airframe
import avionics


def public_modules() -> Iterator[tuple[str, Path]]:
    for package in (airframe, avionics):
        root = Path(package.__file__ or "").parent
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            if not any(part.startswith("_") for part in name.split(".")):
                yield name, path


MODULES = dict(public_modules())


@pytest.mark.parametrize("name", MODULES)
def test_all_lists_what_a_module_defines(name: str) -> None:
    """`__all__` names every public class and function of a module; ruff keeps it sorted (RUF022)."""
    assert set(defined_names(MODULES[name])) - set(listed(name)) == set()


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if path.stem == "__init__"])
def test_all_of_a_package_is_what_it_holds(name: str) -> None:
    """A package shows the names in its `__all__` and no others."""
    assert set(public_attributes(name)) == {entry for entry in listed(name) if not entry.startswith("_")}


@pytest.mark.parametrize("name", MODULES)
def test_all_lists_nothing_twice_and_nothing_missing(name: str) -> None:
    """Every name in `__all__` is there, once."""
    names, module = listed(name), importlib.import_module(name)
    assert len(names) == len(set(names))
    assert [entry for entry in names if not hasattr(module, entry)] == []


def listed(name: str) -> list[str]:
    return list(getattr(importlib.import_module(name), "__all__", []))


def public_attributes(name: str) -> Iterator[str]:
    """What a package holds: its re-exports, which it may load on first use (`__getattr__`, `__dir__`)."""
    package = importlib.import_module(name)
    for attribute in dir(package):
        is_future = attribute == "annotations"  # from __future__ import annotations
        if not attribute.startswith("_") and not is_future and not isinstance(getattr(package, attribute), ModuleType):
            yield attribute


def defined_names(path: Path) -> Iterator[str]:
    """The public classes and functions of a module. Values may be shared inside their package without being listed."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if not name.startswith("_"):
                    yield name
            case _:
                pass
