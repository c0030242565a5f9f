"""When a backup endpoint is asked: where the endpoint was the trouble; all else is the same there. Pure."""

from __future__ import annotations

from airframe.errors import ErrorCategory
from avionics.llm.routing.deployment import Deployment

__all__ = ["FAILS_OVER", "fails_over"]

FAILS_OVER = frozenset(
    {
        ErrorCategory.CONNECTION,
        ErrorCategory.TIMEOUT,
        ErrorCategory.OVERLOADED,
        ErrorCategory.LOADING,
        ErrorCategory.SERVER,
        ErrorCategory.PROTOCOL,
    }
)
"""After these a backup endpoint is asked. Key, account, model and quota are the same there."""


def fails_over(category: ErrorCategory, backup: Deployment) -> bool:
    """Whether `backup` may do better than its provider, which failed like that."""
    return category in FAILS_OVER or (category is ErrorCategory.RATE_LIMIT and backup.own_quota)
