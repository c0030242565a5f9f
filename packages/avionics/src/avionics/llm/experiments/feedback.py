"""What somebody thought of an answer, told to those of a gateway's observers who want to know."""

from __future__ import annotations

from collections.abc import Iterable

from avionics.llm.observation import FaultLog
from avionics.llm.records import CallObserver, FeedbackObserver

__all__ = ["tell_feedback"]


def tell_feedback(
    observers: Iterable[CallObserver],
    faults: FaultLog,
    call_id: str,
    metric: str,
    value: float | None,
    comment: str | None,
) -> None:
    """Tell them; one that raises is reported once. Raises `ValueError` for what nobody could sum up."""
    from avionics.calls.feedback import Feedback  # its package imports our records, so ours

    given = Feedback.of(call_id, metric, value, comment=comment)
    for observer in observers:
        if isinstance(observer, FeedbackObserver):
            faults.contained(
                type(observer).__name__,
                observer.record_feedback,
                given.call_id,
                given.metric,
                given.value,
                comment=given.comment,
            )
