"""What somebody thought of an answer: a number, a comment or both, under the name of what was judged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

from avionics.llm.call_id import new_call_id

__all__ = ["Feedback"]

_LARGEST = 1e100  # the squares of larger ones have no sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One opinion of one call. There may be any number of them, by the same metric too; each counts.

    Attributes:
        metric: what was judged, such as `helpful`.
        value: how well it did; its scale is the metric's own. None is a comment only.
        given_at_ns: Unix time in nanoseconds.
    """

    id: str
    call_id: str
    given_at_ns: int
    metric: str
    value: float | None
    comment: str | None

    @classmethod
    def of(cls, call_id: str, metric: str, value: float | None, *, comment: str | None = None) -> Self:
        """Feedback that is given now.

        Raises `ValueError` for a value that has no mean, and for feedback that says nothing, or not of what.
        """
        for name, text in (("call_id", call_id), ("metric", metric)):
            if not text.strip():
                raise ValueError(f"{name}: must not be empty")
        if value is not None and not abs(value) <= _LARGEST:
            raise ValueError(f"value: {value} of {metric!r} has no mean with others; say None if there is no value")
        if value is None and comment is None:
            raise ValueError(f"value: feedback on {metric!r} has neither a value nor a comment; say one of them")
        return cls(
            id=new_call_id(),
            call_id=call_id,
            given_at_ns=time.time_ns(),
            metric=metric,
            value=None if value is None else float(value),
            comment=comment,
        )
