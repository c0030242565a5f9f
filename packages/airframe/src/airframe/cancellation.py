"""What a call had tried when it was cancelled.

A cancellation belongs to whoever asked for it: it goes through untouched, and cannot become an `AirframeError`. So the
attempts travel beside it, as notes do (PEP 678).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from airframe.types.attempt import Attempt

__all__ = ["attempts_of", "keep_attempts"]

_NAME = "airframe_attempts"


def keep_attempts(error: BaseException, attempts: Sequence[Attempt]) -> None:
    """Let `error`, which is no `AirframeError`, say what was tried until it came."""
    vars(error)[_NAME] = tuple(attempts)


def attempts_of(error: BaseException) -> Sequence[Attempt]:
    """Every exchange of the call that `error` ended, the last one included; none where nobody could note them."""
    return cast("Sequence[Attempt]", vars(error).get(_NAME) or vars(error).get("attempts") or ())
