"""Version, changelog and the range that one package states of the other agree."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import airframe
import avionics

ROOT = Path(__file__).parents[1]
VERSIONS = {"airframe": airframe.__version__, "avionics": avionics.__version__}


@pytest.mark.parametrize("package", VERSIONS)
def test_the_distribution_has_the_version_of_the_package(package: str) -> None:
    """`__version__` is what pip shows."""
    assert metadata.version(f"jeeves-{package}") == VERSIONS[package]


@pytest.mark.parametrize("package", VERSIONS)
def test_the_changelog_tells_of_the_version(package: str) -> None:
    """The newest dated heading is the version; before its release, what is unreleased names it."""
    changelog = (ROOT / "packages" / package / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased, *released = re.split(r"^## (?=\[)", changelog, flags=re.MULTILINE)[1:]
    assert unreleased.startswith("[Unreleased]\n")
    headings = [section.partition("\n")[0] for section in released]
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings)
    if not any(heading.startswith(f"[{VERSIONS[package]}]") for heading in headings[:1]):
        assert VERSIONS[package] in unreleased


def test_avionics_admits_the_airframe_beside_it() -> None:
    """The range that avionics states holds the airframe it is tested with, and ends before the next breaking line."""
    stated = [Requirement(line) for line in metadata.requires("jeeves-avionics") or ()]
    ranges = [
        requirement.specifier
        for requirement in stated
        if requirement.name == "jeeves-airframe" and not requirement.marker
    ]
    assert len(ranges) == 1
    version = Version(airframe.__version__)
    assert version in ranges[0]
    assert Version(f"{version.major}.{version.minor + 1}.0") not in ranges[0]
