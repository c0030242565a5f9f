"""What is written down of every call, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from avionics.settings.section import Count, Section

__all__ = ["CallLogSettings"]


class CallLogSettings(Section, frozen=True):
    """The log of calls, in the database."""

    enabled: bool = True
    """Whether calls are logged at all."""
    capture_content: bool = False
    """Whether prompts, answers and what backends said of errors are logged too. Off, only figures and names are."""
    content_limit: Count = 100_000
    """The longest text that is kept whole, in characters; of a longer one the beginning is."""
    flush_interval: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 1.0
    """The longest that an ended call waits to be written, in seconds: what a killed process may lose."""
    retention_days: Count | None = None
    """For how long calls are kept; None is for ever."""
    spill_directory: Path | None = None
    """Where calls wait while the database cannot take them. None is beside the SQLite file, or in the user's data
    directory.
    """
