"""What the packages import is what they declare: nothing arrives by way of another package's dependencies."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import airframe
import avionics

FOLDERS = {"jeeves-airframe": Path(airframe.__file__).parent, "jeeves-avionics": Path(avionics.__file__).parent}

# Modules that come with a dependency, or with an extra of it, though another distribution holds them.
BROUGHT_BY = {
    "llama_cpp": "llama-cpp-python",
    "pydantic_core": "pydantic",
    "trio": "anyio",
    "typing_extensions": "pydantic",
    "xllamacpp": "jeeves-airframe",
    "yaml": "pydantic-settings",
}


@pytest.mark.parametrize("distribution", FOLDERS)
def test_every_import_is_declared(distribution: str) -> None:
    """Each third-party module that the source imports belongs to a stated dependency, of the package or of an extra."""
    declared = {normalized(Requirement(line).name) for line in metadata.requires(distribution) or ()}
    # An editable installation does not tell which modules it holds.
    owners = {**metadata.packages_distributions(), "airframe": ["jeeves-airframe"], "avionics": ["jeeves-avionics"]}
    undeclared = {
        module
        for module in imported(FOLDERS[distribution])
        if module not in sys.stdlib_module_names and module != FOLDERS[distribution].name
        if not declared & {normalized(owner) for owner in [*owners.get(module, ()), BROUGHT_BY.get(module, "")]}
    }
    assert undeclared == set()


def imported(folder: Path) -> Iterator[str]:
    """The top-level names of all absolute imports, those inside functions too."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    yield from (alias.name.partition(".")[0] for alias in names)
                case ast.ImportFrom(module=str(module)):
                    yield module.partition(".")[0]
                case _:
                    pass


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
