"""Where the call log is: its database, and the directory in which calls wait while that is down."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from avionics.errors import ConfigurationError
from avionics.settings import DatabaseSettings, Settings

__all__ = ["database_url", "spill_directory"]

_FILE_NAME = "avionics.db"
_SQLITE = "sqlite:///"


def database_url(settings: DatabaseSettings) -> str:
    """The database's URL, as SQLAlchemy reads it; a password may stand in it.

    Raises `ConfigurationError` when PostgreSQL's driver is missing.
    """
    if settings.url is None:
        return f"{_SQLITE}{platformdirs.user_data_path('avionics') / _FILE_NAME}"
    url = settings.url.get_secret_value()
    if url.startswith(_SQLITE):
        return url
    if find_spec("psycopg") is None:
        raise ConfigurationError("database.url: PostgreSQL needs psycopg: pip install 'jeeves-avionics[postgres]'")
    return f"postgresql+psycopg://{url.partition('://')[2]}"


def spill_directory(settings: Settings) -> Path:
    """Beside the SQLite file, or in the user's data directory under a name that depends on the database."""
    if stated := settings.call_log.spill_directory:
        return stated
    url = database_url(settings.database)
    if url.startswith(_SQLITE):
        file = Path(url.removeprefix(_SQLITE).partition("?")[0])
        return file.with_name(f"{file.name}-spill")
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port or 5432}{parts.path}"
    return platformdirs.user_data_path("avionics") / f"spill-{hashlib.sha256(place.encode()).hexdigest()[:16]}"
