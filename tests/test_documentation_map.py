"""The site leaves nothing out: each page is in the navigation, and each backend kind has a page."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from airframe import BackendKind

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_every_page_is_in_the_navigation() -> None:
    """A page that nobody can reach is not read, and an entry without a page leads nowhere."""
    settings = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert set(entries(settings["project"]["nav"])) == pages


@pytest.mark.parametrize("kind", BackendKind)
def test_every_kind_of_backend_has_a_page(kind: BackendKind) -> None:
    """It shows an endpoint of that kind, and says what is not supported and whence its facts are."""
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "reference" / "backends").glob("*.md")]
    (page,) = (page for page in pages if f'backend_kind="{kind}"' in page)
    assert "not supported" in page.lower()
    assert "\n## Errors\n" in page
    assert "\n## Sources\n" in page


def entries(navigation: list[dict[str, Any]]) -> Iterator[str]:
    for entry in navigation:
        for target in entry.values():
            if isinstance(target, list):
                yield from entries(cast("list[dict[str, Any]]", target))
            else:
                yield target
