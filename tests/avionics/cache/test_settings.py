"""The section `cache`: off unless a backend is named, and a URL that its backend can read."""

from __future__ import annotations

from typing import Any

import pytest

from avionics.errors import ConfigurationError
from avionics.settings import Settings


def test_the_cache_is_off_unless_a_backend_is_named() -> None:
    """Nothing that was said is kept for somebody who did not ask for it."""
    assert Settings().cache.backend is None


@pytest.mark.parametrize(
    "cache",
    [
        {"backend": "redis"},
        {"backend": "redis", "url": "http://secret-host"},
        {"backend": "sql", "url": "redis://secret-host"},
        {"backend": "memory", "url": "redis://secret-host"},
    ],
    ids=str,
)
def test_a_url_that_does_not_fit_its_backend_is_refused(cache: dict[str, Any]) -> None:
    """The error names the section and the backend, and never the URL, in which a password may stand."""
    with pytest.raises(ConfigurationError, match=r"cache.*(url|memory)") as refused:
        Settings(cache=cache)
    assert "secret-host" not in str(refused.value)


@pytest.mark.parametrize(
    "cache",
    [
        {"backend": "sql"},
        {"backend": "sql", "url": "sqlite:///responses.db"},
        {"backend": "redis", "url": "rediss://user:password@host:6379/1"},
        {"url": "redis://host"},
    ],
    ids=str,
)
def test_a_url_that_fits_is_taken(cache: dict[str, Any]) -> None:
    """And is there without a backend too, so that switching the cache off is one change."""
    settings = Settings(cache=cache)
    assert (settings.cache.url is None) == ("url" not in cache)
    assert "password" not in repr(settings)
