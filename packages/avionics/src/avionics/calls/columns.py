"""The columns that calls and attempts have in common. SQLAlchemy is not needed to know them."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["COSTS", "COUNTED", "SUMS", "USAGE_COUNTS", "Row"]

Row: TypeAlias = dict[str, str | int | float | None]
"""Values by column. JSON can hold it as it is."""

USAGE_COUNTS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "web_searches",
)
"""The columns that hold a count of `airframe.types.Usage`, under its names."""

COSTS = ("cost_nano_usd", "cost_low_nano_usd", "cost_high_nano_usd", "cost_estimated_nano_usd")
"""The columns that hold money."""

COUNTED = ("estimated", "unpriced")
"""The columns that count attempts; in the row of an attempt they are 0 or 1."""

SUMS = (*USAGE_COUNTS, *COSTS, *COUNTED)
"""The columns of which a call has the sum over its attempts."""
