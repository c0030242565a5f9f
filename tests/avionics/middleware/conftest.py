"""The two ways of a call through a chain: most promises hold for both."""

from __future__ import annotations

import pytest

from avionics.llm.middleware.rehearsal import Rehearsal


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    """A test that takes it runs once for each of the two ways."""
    return bool(request.param)


@pytest.fixture
def backend() -> Rehearsal:
    """A backend that answers `Because.`; a test may change what it does."""
    return Rehearsal()
