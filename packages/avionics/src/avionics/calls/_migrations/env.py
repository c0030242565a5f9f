"""Runs migrations on the connection that `avionics.calls.database` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from avionics.calls.database import VERSION_TABLE
from avionics.calls.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite alters a table by writing it anew
)
context.run_migrations()
