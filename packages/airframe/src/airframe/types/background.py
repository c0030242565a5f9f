"""An answer that is worked on in the background, to be fetched later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from airframe.errors import BackendError
from airframe.types.result import InferenceResult

__all__ = ["BackgroundResponse", "BackgroundStatus"]

BackgroundStatus: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]

BACKGROUND_STATUSES: frozenset[str] = frozenset(get_args(BackgroundStatus))


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundResponse:
    """A response at some stage of its life.

    `result` is there once it is `completed`, `incomplete` or `cancelled` (then with what was said until then), `error`
    once it has `failed`; until then both are None.
    """

    id: str
    status: BackgroundStatus
    result: InferenceResult | None = None
    error: BackendError | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in {"queued", "in_progress"}
