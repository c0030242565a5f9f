"""What becomes of a call when a middleware fails: one place that tells its failures from others."""

from __future__ import annotations

from avionics.errors import LLMError, MiddlewareError
from avionics.llm.middleware.middleware import Middleware
from avionics.llm.observation import FaultLog

__all__ = ["report_failure", "settle_failure"]


def settle_failure(middleware: Middleware, error: Exception, faults: FaultLog) -> None:
    """Returns if the call goes on without the middleware. Raises its decision, or `MiddlewareError` for its failure."""
    if isinstance(error, LLMError):
        raise error
    if middleware.on_failure == "raise":
        raise MiddlewareError(f"{type(middleware).__name__} failed: {type(error).__name__}") from error
    report_failure(middleware, error, faults)


def report_failure(middleware: Middleware, error: Exception, faults: FaultLog) -> None:
    """Log the first failure of a middleware."""

    def fail() -> None:
        raise error

    faults.contained(type(middleware).__name__, fail)
