"""Every test here begins in an empty working directory, with no settings in the process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from avionics.settings import reset_settings


@pytest.fixture(autouse=True)
def fresh_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    reset_settings()
    yield
    reset_settings()
