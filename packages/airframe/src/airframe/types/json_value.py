"""The type of a parsed JSON document, for values that pass through unread."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

__all__ = ["JSONObject", "JSONValue"]

JSONValue: TypeAlias = "Mapping[str, JSONValue] | Sequence[JSONValue] | str | int | float | bool | None"
"""Any JSON value. Read-only on purpose: what a caller or a backend gave is never changed in place."""

JSONObject: TypeAlias = Mapping[str, JSONValue]
"""A JSON object with text keys."""
