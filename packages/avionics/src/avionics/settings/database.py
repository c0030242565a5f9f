"""Where avionics keeps what it has to remember: a SQLite file, or PostgreSQL."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, SecretStr

from avionics.settings.section import Section

__all__ = ["DatabaseSettings"]

_URL = re.compile(r"sqlite:///.+|postgresql(\+psycopg)?://.+")


def _checked_database_url(value: SecretStr) -> SecretStr:
    if not _URL.fullmatch(value.get_secret_value()):
        raise ValueError("must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE")
    return value


DatabaseUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_checked_database_url)]
"""As SQLAlchemy writes it. Secret, because a password may stand in it."""


class DatabaseSettings(Section, frozen=True):
    """The database."""

    url: DatabaseUrl | None = None
    """`sqlite:///FILE` or `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE` (extra `postgres`). None is the file
    `avionics.db` in the user's data directory.
    """
