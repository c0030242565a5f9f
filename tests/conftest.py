"""What holds for every test: an environment without foreign keys, two async backends.

And no network but loopback, by `airframe_block_network` in pyproject.toml.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

# Proxies would divert requests; keys, settings and exporters of the developer would change what is tested.
FOREIGN_VARIABLES = re.compile(r".*_PROXY|.*_API_KEY|AVIONICS_.*|OTEL_.*", re.IGNORECASE)


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loops that every async test runs on (tests marked `anyio`)."""
    return str(request.param)


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Takes foreign variables away, and gives configuration, data and cache an empty home."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if FOREIGN_VARIABLES.fullmatch(name):
                patch.delenv(name)
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(home / name.lower()))
        yield
